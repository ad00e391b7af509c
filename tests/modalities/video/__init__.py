"""Tests of the video modality."""
