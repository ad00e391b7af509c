"""Tests of the backbones of pictures."""
