"""Tests of the image modality."""
