"""The vehicle's sensor stream: frames and radar sweeps in, detections out, without TensorFlow."""

from mmkeras.driving.stream.clock import Clock, RealClock
from mmkeras.driving.stream.detector import BundleDetector, Detector
from mmkeras.driving.stream.messages import Answer, Frame, Message, Sweep
from mmkeras.driving.stream.settings import Settings
from mmkeras.driving.stream.stream import SensorStream

__all__ = [
    "Answer",
    "BundleDetector",
    "Clock",
    "Detector",
    "Frame",
    "Message",
    "RealClock",
    "SensorStream",
    "Settings",
    "Sweep",
]
