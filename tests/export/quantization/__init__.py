"""Tests of static quantisation."""
