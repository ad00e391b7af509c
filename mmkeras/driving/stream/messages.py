"""The messages of a stream: camera frames and radar sweeps in, answers out. numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["CAMERA", "STAGES", "Answer", "Frame", "Message", "Status", "Sweep"]

CAMERA = "camera"
"""Name of the camera in reports; a radar has its channel's name."""

STAGES = ("wait", "preprocess", "inference", "decode", "total")
"""Stages of an answer's latency: from the arrival to the start of the work, decoding the image and moving the points,
the engine's call, decoding the outputs, and the sum."""

Status: TypeAlias = Literal["answered", "skipped", "blind"]
"""``answered`` by an inference; ``skipped``: the detections are those of the previous answer; ``blind``: no sensor is
present, so there are no detections."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the camera with its calibration and poses."""

    image: Any
    """Path, JPEG or PNG bytes, or uint8 array (H, W, 3)."""
    timestamp: int
    """When it was taken, in microseconds of the sensors' clock."""
    intrinsic: np.ndarray
    """The real camera's matrix (3, 3) in pixels."""
    camera: Pose
    """Camera -> ego."""
    ego: Pose
    """Ego -> global at ``timestamp``."""
    channel: str = "CAM_FRONT"


Message: TypeAlias = "Frame | Sweep"


@dataclass(frozen=True, eq=False)
class Answer:
    """The stream's answer to one frame, or to one tick of the clock while no frames come."""

    timestamp: int
    """The time of the detections, in microseconds of the sensors' clock."""
    cause: Literal["frame", "tick"]
    """A frame, or a tick of the clock while no frame comes."""
    status: Status
    camera: bool
    """Whether the camera was used."""
    radars: tuple[str, ...]
    """Channels of the radars used."""
    detections: list[dict[str, Any]]
    """As the detection task decodes them: boxes in the ego frame at ``timestamp``, in metres and radians."""
    reason: str = ""
    """Why the frame's image was not used: ``queue``, ``expired``, ``order``, ``time``, ``image`` or ``frozen``."""
    of: int = 0
    """Timestamp of the answer whose detections a skipped frame repeats; ``timestamp`` otherwise."""
    arrived: int = 0
    """When the frame arrived (a tick was due), in microseconds of the stream's clock."""
    answered: int = 0
    """When the answer was ready, on the same clock."""
    missed: bool = False
    """Whether it was ready after the deadline."""
    stages: dict[str, float] = field(default_factory=dict)
    """Microseconds by stage, see `STAGES`; empty unless answered."""
    frame: Frame | None = None
    """The frame, for drawing; None for a tick."""
    points: np.ndarray | None = None
    """Radar points (N, 8) in the camera's frame, as the model's input; None without radar."""
    pose: Pose = field(default_factory=Pose)
    """Camera -> ego that was used."""

    @property
    def kind(self) -> str:
        """``both``, ``camera only``, ``radar only``, ``skipped`` or ``blind``."""
        if self.status != "answered":
            return self.status
        return "both" if self.camera and self.radars else "camera only" if self.camera else "radar only"

    def to_json(self) -> dict[str, Any]:
        """Return one line of ``detections.jsonl``."""
        return {
            "timestamp": self.timestamp,
            "cause": self.cause,
            "kind": self.kind,
            "reason": self.reason,
            "detections_of": self.of or self.timestamp,
            "camera": self.camera,
            "radars": list(self.radars),
            "latency_ms": {name: round(value / 1e3, 3) for name, value in self.stages.items()},
            "deadline_missed": self.missed,
            "detections": self.detections,
        }
