"""Clips: pictures in the order of time, from video files, folders, lists and arrays."""
