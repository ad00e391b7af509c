"""Tests of the index and its search."""
