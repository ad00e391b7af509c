"""Tests of the matching task."""
