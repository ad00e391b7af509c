"""Driving: drives and their formats, a simulator of them, the sensor stream, models under degradation."""
