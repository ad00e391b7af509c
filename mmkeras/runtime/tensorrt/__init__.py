"""Builds TensorRT engines on the device and runs them: numpy and the TensorRT library, nothing else."""

__all__: list[str] = []
