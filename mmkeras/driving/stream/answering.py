"""Makes the answer to one frame and its sweeps, and measures the time of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.stream.clock import Clock
from mmkeras.driving.stream.detector import Detector, Tensors
from mmkeras.driving.stream.messages import Answer, Frame, Status
from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import Sweep, points_in_camera

__all__ = ["Answerer", "Job"]

_MOVED = 0.1
"""Metres by which the car must have moved for two equal pictures to mean that the camera is frozen."""


@dataclass
class Job:
    """One answer to give; the first three fields are those of `Answer`."""

    timestamp: int
    cause: Literal["frame", "tick"]
    arrived: int
    frame: Frame | None = None
    usable: bool = False
    """Whether the frame's image may be used."""
    reason: str = ""
    """Why the image may not be used."""
    ego: Pose | None = None
    """Ego -> global at ``timestamp``; None while no pose is known."""
    camera: Pose = field(default_factory=Pose)
    """Camera -> ego."""


class Answerer:
    """Runs the model for one job at a time; keeps the last answer for skipped jobs."""

    def __init__(self, detector: Detector, clock: Clock) -> None:
        self.detector = detector
        self.clock = clock
        self.undecodable = 0
        """Images that could not be decoded."""
        self.frozen = 0
        """Images equal to the one before, although the car has moved."""
        self.work = 0.0
        """Recent work per answer, in microseconds of the stream; rises at once and falls slowly."""
        self._last: tuple[int, list[dict[str, Any]]] = (0, [])
        self._seen: tuple[dict[str, np.ndarray], np.ndarray] | None = None

    def answer(self, job: Job, sweeps: Sequence[Sweep], deadline: int) -> Answer:
        """Answer a job with the available sensors.

        ``sweeps`` are the sweeps of the present radars; ``deadline`` is in microseconds after the arrival.
        """
        begin, watch = self.clock.now(), self.clock.stopwatch
        started = watch()
        image, reason = self._image(job)
        points, radar = self._radar(job, sweeps)
        prepared = watch()
        status: Status = "answered"
        detections: list[dict[str, Any]] = []
        if image is None and radar is None:
            status, inferred = "blind", prepared
        else:
            outputs = self.detector.infer(image, radar)
            inferred = watch()
            detections = self.detector.decode(outputs, job.camera)
        done = watch()
        wait = max(begin - job.arrived, 0) / self.clock.rate
        stages = {
            "wait": wait,
            "preprocess": prepared - started,
            "inference": inferred - prepared,
            "decode": done - inferred,
            "total": wait + done - started,
        }
        work = (done - started) * self.clock.rate
        if status == "answered":
            self.work = work if work > self.work else 0.9 * self.work + 0.1 * work
            self._last = (job.timestamp, detections)
        answered = int(begin + work)
        return Answer(
            job.timestamp,
            job.cause,
            status,
            camera=image is not None,
            radars=tuple(dict.fromkeys(sweep.channel for sweep in sweeps)) if radar is not None else (),
            detections=detections,
            reason=reason,
            of=job.timestamp,
            arrived=job.arrived,
            answered=answered,
            missed=answered - job.arrived > deadline,
            stages=stages if status == "answered" else {},
            frame=job.frame,
            points=points,
            pose=job.camera,
        )

    def skip(self, job: Job, reason: str) -> Answer:
        """Answer a job with the detections of the last answer."""
        of, detections = self._last
        now = self.clock.now()
        frame, pose = job.frame, job.camera
        return Answer(
            job.timestamp,
            job.cause,
            "skipped",
            False,
            (),
            detections,
            reason,
            of,
            job.arrived,
            now,
            frame=frame,
            pose=pose,
        )

    def _image(self, job: Job) -> tuple[Tensors | None, str]:
        if job.frame is None or not job.usable or not self.detector.has_camera:
            return None, job.reason
        try:
            inputs = self.detector.image_inputs(job.frame)
        except DataError:
            self.undecodable += 1
            return None, "image"
        if self._is_frozen(inputs, job.frame):
            self.frozen += 1
            return None, "frozen"
        return inputs, job.reason

    def _is_frozen(self, inputs: Tensors, frame: Frame) -> bool:
        place = np.asarray(frame.ego.translation)
        if self._seen is not None and all(np.array_equal(inputs[name], old) for name, old in self._seen[0].items()):
            return float(np.linalg.norm(place - self._seen[1])) > _MOVED
        self._seen = ({name: array for name, array in inputs.items() if array.size > 1}, place)
        return False

    def _radar(self, job: Job, sweeps: Sequence[Sweep]) -> tuple[np.ndarray | None, Tensors | None]:
        if not sweeps or job.ego is None or not self.detector.has_radar:
            return None, None
        points = points_in_camera(sweeps, job.camera, job.ego, job.timestamp)
        return points, self.detector.radar_inputs(points)
