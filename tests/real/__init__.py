"""Measurements on real data, each a command: python -m tests.real.medpix2."""
