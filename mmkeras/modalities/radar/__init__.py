"""Radar points of the last sweeps, in the camera's frame."""
