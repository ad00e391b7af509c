"""The vehicle's sensor stream: frames and radar sweeps in, detections out. numpy and one engine, never TensorFlow."""

from mmkeras.driving.stream.clock import Clock, FakeClock, RealClock
from mmkeras.driving.stream.detector import BundleDetector, Detector
from mmkeras.driving.stream.messages import Answer, Frame, Message, Sweep
from mmkeras.driving.stream.settings import Settings
from mmkeras.driving.stream.stream import SensorStream

__all__ = [
    "Answer",
    "BundleDetector",
    "Clock",
    "Detector",
    "FakeClock",
    "Frame",
    "Message",
    "RealClock",
    "SensorStream",
    "Settings",
    "Sweep",
]
