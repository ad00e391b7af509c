"""The vehicle's sensor stream: frames and radar sweeps in, detections out. numpy and one engine, never TensorFlow."""

from mmkeras.runtime.stream.clock import Clock, FakeClock, RealClock
from mmkeras.runtime.stream.detector import BundleDetector, Detector
from mmkeras.runtime.stream.messages import Answer, Frame, Message, Sweep
from mmkeras.runtime.stream.settings import Settings
from mmkeras.runtime.stream.stream import SensorStream

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
