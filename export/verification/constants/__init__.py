"""Compares the constants of a small file with those of the float32 file: they may differ by rounding alone."""
