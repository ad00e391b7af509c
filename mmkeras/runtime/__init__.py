"""The device side: answer raw inputs, replay the golden samples, measure. numpy and one engine, never TensorFlow."""

from mmkeras.runtime.predictor import Predictor

__all__ = ["Predictor"]
