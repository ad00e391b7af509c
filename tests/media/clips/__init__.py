"""Tests of the readers of clips."""
