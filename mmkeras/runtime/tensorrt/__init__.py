"""Builds TensorRT engines on the device and runs them; needs only numpy and the TensorRT library."""

__all__: list[str] = []
