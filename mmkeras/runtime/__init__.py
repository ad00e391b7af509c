"""Runs bundles on a device: predictions, self-test, benchmark. Needs numpy and one engine, never TensorFlow."""

from mmkeras.runtime.predictor import Predictor

__all__ = ["Predictor"]
