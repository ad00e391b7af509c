"""Tests of the constants of files."""
