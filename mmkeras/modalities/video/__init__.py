"""Clips: frames of a camera in the order of time."""
