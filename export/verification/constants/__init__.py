"""Holds the constants of a small file to those of the float32 file: a weight is rounded to its precision, no more."""
