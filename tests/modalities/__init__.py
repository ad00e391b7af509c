"""Tests of the modality rooms."""
