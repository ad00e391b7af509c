"""Obstacles in 3D: what a user chooses (`options`), and what a device needs (`task`)."""

from mmkeras.tasks.detection.options import Config
from mmkeras.tasks.detection.task import Spec

__all__ = ["Config", "Spec"]
