"""Damages valid files of every kind that mmkeras reads, and counts what is not answered by its own errors."""
