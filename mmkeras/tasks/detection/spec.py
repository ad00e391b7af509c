"""Obstacles in 3D: what a user chooses, the maps a model gives, how boxes are read from them and scored."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.errors import ConfigError
from mmkeras.geometry import PinholeCamera, Pose
from mmkeras.modalities import TensorSpec
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._labels import as_labels, check_share
from mmkeras.tasks._metrics import sample_weights
from mmkeras.tasks.detection.agreement import disagree
from mmkeras.tasks.detection.answers import answers
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.checks import as_pose, camera_problems, range_problems
from mmkeras.tasks.detection.classes import CLASS_RANGE, DEFAULT_RANGE
from mmkeras.tasks.detection.peaks import MAPS, boxes_at_peaks
from mmkeras.tasks.detection.scores import Scores
from mmkeras.tasks.detection.target import COLUMNS, encode_target, read_poses, read_truth

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config:
    """Options of the detection task."""

    labels: tuple[str, ...] = ("car", "truck", "pedestrian", "bicycle")
    """The classes in the order of the heatmap's channels."""
    camera: tuple[float, ...] = ()
    """The model's camera as `PinholeCamera` takes it: width, height, focal length, centre x and y, in pixels of the
    image that the model sees. It must be given."""
    camera_pose: tuple[float, ...] = (1.7, 0.0, 1.5, 0.5, -0.5, 0.5, -0.5)
    """Camera -> ego where a frame does not say it: tx, ty, tz (m), qw, qx, qy, qz. The default looks straight ahead."""
    stride: int = 8
    """Pixels per cell of the maps."""
    max_objects: int = 32
    """Objects in a target; of more, the nearest are kept."""
    max_detections: int = 50
    """Detections of a frame, the best ones."""
    score_threshold: float = 0.3
    """Confidence from which a detection is one. The metrics look at all of them, as nuScenes does."""
    class_range: dict[str, float] = dataclasses.field(default_factory=dict)
    """Distance (m) from the ego vehicle up to which a class is scored, where it is not that of nuScenes."""
    count_unseen: bool = False
    """Score objects without a single radar or lidar point too; nuScenes leaves them out."""
    dropout: float = 0.0
    """Share of the features dropped before the last layers in training."""
    channels: int = 64
    """Channels of the head's convolutions."""
    convolutions: int = 2
    """Separable 3x3 convolutions before the last layers."""
    box_weight: float = 0.2
    """Weight of the 2D box in the loss; the heatmap's is 1."""
    offset_weight: float = 1.0
    """Weight of the centre's place within its cell."""
    depth_weight: float = 1.0
    """Weight of the depth: 25 % off counts 1."""
    size_weight: float = 0.3
    """Weight of the size."""
    yaw_weight: float = 0.3
    """Weight of the heading."""
    velocity_weight: float = 1.0
    """Weight of the velocity: 10 m/s off counts 1."""

    def __post_init__(self) -> None:
        for field in ("camera", "camera_pose"):
            object.__setattr__(self, field, tuple(float(number) for number in getattr(self, field)))
        object.__setattr__(self, "labels", as_labels(self.labels, "labels"))
        check_share(self.dropout, "dropout")
        problems = [] if self.labels else ["labels: expected at least one class, got none"]
        problems += range_problems(self.class_range, self.labels)
        problems += camera_problems(self.camera, self.camera_pose)
        problems += [
            f"{field}: expected a whole number of at least 1, got {getattr(self, field)!r}"
            for field in ("stride", "max_objects", "max_detections", "channels", "convolutions")
            if getattr(self, field) < 1
        ]
        problems += [
            f"{name}_weight: expected 0 or more, got {weight!r}"
            for name, weight in self.loss_weights().items()
            if not weight >= 0
        ]
        if not 0.0 < self.score_threshold < 1.0:
            problems.append(f"score_threshold: expected a number between 0 and 1, got {self.score_threshold!r}")
        if problems:
            raise ConfigError("\n".join(problems))

    def loss_weights(self) -> dict[str, float]:
        """Return the weight in the loss of every map but the heatmap."""
        return {name: getattr(self, f"{name}_weight") for name in MAPS}

    def completed(self, labels: Iterable[str] = (), targets: np.ndarray | None = None) -> Config:
        """Return this configuration: the data adds nothing to it."""
        del labels, targets
        return self

    def spec(self) -> Spec:
        """Return the task's spec.

        Raises:
            ConfigError: no camera.
        """
        if not self.camera:
            raise ConfigError("camera: detection needs the model's camera: width, height, focal length, centre x and y")
        ranges = {**CLASS_RANGE, **self.class_range}
        return Spec(
            labels=self.labels,
            camera=self.camera,
            camera_pose=self.camera_pose,
            stride=self.stride,
            max_objects=self.max_objects,
            max_detections=self.max_detections,
            score_threshold=float(self.score_threshold),
            class_range=tuple(float(ranges.get(label, DEFAULT_RANGE)) for label in self.labels),
            count_unseen=self.count_unseen,
        )


@dataclass(frozen=True)
class Spec(TaskSpec):
    """3D boxes with speed from maps of h x w cells (``stride`` pixels each) over the model's image.

    The primary metric is nuScenes' mean average precision over the classes that occur, on what the camera sees. The
    targets are described in `mmkeras.tasks.detection.target`.
    """

    kind: ClassVar[str] = "detection"
    metric: ClassVar[str] = "mAP"
    gated_by: ClassVar[Literal["decisions", "metric"]] = "metric"

    labels: tuple[str, ...]
    """The classes in the order of the heatmap's channels."""
    camera: tuple[float, ...]
    """The model's camera: width, height, focal length, centre x and y, in pixels."""
    camera_pose: tuple[float, ...]
    """Camera -> ego where a frame does not say it: tx, ty, tz (m), qw, qx, qy, qz."""
    stride: int
    """Pixels per cell."""
    max_objects: int
    """Objects in a target."""
    max_detections: int
    """Detections of a frame."""
    score_threshold: float
    """Confidence from which a detection is one."""
    class_range: tuple[float, ...]
    """Distance (m) from the ego vehicle up to which each class is scored."""
    count_unseen: bool = False
    """Score objects without a radar or lidar point."""

    @functools.cached_property
    def pinhole(self) -> PinholeCamera:
        """The model's camera."""
        return PinholeCamera(*self.camera)

    @functools.cached_property
    def pose(self) -> Pose:
        """Camera -> ego where a frame does not say it."""
        return as_pose(self.camera_pose)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return math.ceil(self.camera[1] / self.stride), math.ceil(self.camera[0] / self.stride)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Maps (h, w, ...) float32, in the order ``heatmap``, ``box``, ``offset``, ``depth``, ``size``, ...

        - ``heatmap`` (C): probability that an object of a class has its projected 3D centre in this cell.
        - ``box`` (4): pixels from the middle of the cell to the left, top, right and bottom of the 2D box.
        - ``offset`` (2): projected 3D centre minus the middle of the cell, right and down, in cells.
        - ``depth`` (1): of the centre, along the camera's axis, in m.
        - ``size`` (3): width, length, height in m.
        - ``yaw`` (2): sine and cosine of the observation angle ``atan2(heading x, heading z) - atan2(x, z)`` in the
          camera's frame: 0 drives straight away along the viewing ray, and to the right is positive.
        - ``velocity`` (2): over ground, along the camera's x (right) and z (forward), in m/s.
        """
        rows, columns = self.cells
        maps = {"heatmap": len(self.labels), **MAPS}
        return tuple(TensorSpec(name, (rows, columns, channels), "float32") for name, channels in maps.items())

    @property
    def target(self) -> TensorSpec:
        """``target`` (max_objects + 1, 20) float32: objects nearest first, then the pose camera -> ego."""
        return TensorSpec("target", (self.max_objects + 1, COLUMNS), "float32")

    def encode(self, target: Any) -> np.ndarray:
        """Return ``{"boxes": boxes in the ego frame, "camera": pose camera -> ego}`` as an array.

        `mmkeras.tasks.detection.target.encode_target` describes boxes and poses. Objects whose centre is not in the
        image are left out.

        Raises:
            DataError: another form, an unknown class, numbers that are not finite.
        """
        return encode_target(target, self.labels, self.pinhole, self.pose, self.max_objects)

    def classes_of(self, target: np.ndarray) -> list[str]:
        """Return the class of every object of an encoded target, for the class balance."""
        return [self.labels[int(row[1])] for row in target[:-1] if row[0] > 0.5]

    def truth(self, targets: np.ndarray) -> Boxes:
        """Return the objects of encoded targets (B, max_objects + 1, 20) in the ego frame of each sample."""
        return read_truth(np.asarray(targets).reshape(-1, *self.target.shape))

    def found(self, outputs: Outputs, poses: Iterable[Pose] | None = None, threshold: float = 0.0) -> Boxes:
        """Return the detections of a batch in the ego frame, those of a sample together, best first.

        Args:
            outputs: maps (B, h, w, ...).
            poses: camera -> ego of each sample; ``camera_pose`` for all where not given.
            threshold: least confidence.
        """
        size = len(outputs["heatmap"])
        matrices = np.stack([pose.matrix for pose in poses]) if poses is not None else self.pose.matrix[None]
        matrices = np.broadcast_to(matrices, (size, 4, 4))
        return self._found(outputs, matrices[:, :3, :3], matrices[:, :3, 3], threshold)

    def _found(self, outputs: Outputs, rotation: np.ndarray, translation: np.ndarray, threshold: float) -> Boxes:
        return boxes_at_peaks(
            outputs,
            self.labels,
            self.pinhole,
            self.stride,
            rotation,
            translation,
            threshold=threshold,
            count=self.max_detections,
        )

    def detections(self, outputs: Outputs, poses: Iterable[Pose] | None = None, threshold: float = 0.0) -> list[Boxes]:
        """Return `found` as one group of boxes per sample."""
        return self.found(outputs, poses, threshold).by_sample(len(outputs["heatmap"]))

    def decode(self, outputs: Outputs, poses: Iterable[Pose] | None = None) -> list[dict[str, Any]]:
        """Return ``{"detections": [...]}`` per sample, most confident first, from ``score_threshold`` on.

        A detection is ``{"class", "score", "box": [left, top, right, bottom] in pixels of the model's image, "centre":
        [x, y, z] m, "size": [width, length, height] m, "yaw": rad, "velocity": [vx, vy] m/s over ground, "distance": m
        along the ground, "attribute"}``, in the ego frame. Cells that are not finite are skipped.

        Args:
            outputs: maps (B, h, w, ...).
            poses: camera -> ego of each sample; ``camera_pose`` for all where not given.
        """
        boxes = self.found(outputs, poses, self.score_threshold)
        return answers(boxes, self.labels, len(outputs["heatmap"]))

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): the detections from ``score_threshold`` on differ, or a map is not finite on one side.

        They differ in number, in classes, by more than a centimetre in any centre, or by more than 0.001 in a score.
        """
        first, second = (self.found(each, threshold=self.score_threshold) for each in (reference, candidate))
        return disagree(reference, candidate, first, second)

    def score(self, targets: np.ndarray, outputs: Outputs, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return the nuScenes detection metrics on what the camera sees, see `mmkeras.tasks.detection.scores`.

        Args:
            targets: (B, max_objects + 1, 20).
            outputs: maps (B, h, w, ...).
            weights: sample weights (B,); whole numbers count like that many copies of a sample.

        Raises:
            DataError: no samples, or weights that do not fit.
        """
        weight = sample_weights(targets, weights)
        return self.resampler(targets, outputs)(weight)

    def resampler(self, targets: np.ndarray, outputs: Outputs) -> Callable[[np.ndarray], dict[str, float]]:
        """Return a function from weights (B,) to what `score` gives: matching is done once, before."""
        targets = np.asarray(targets).reshape(-1, *self.target.shape)
        found = self._found(outputs, *read_poses(targets), threshold=0.0)
        return Scores(self.truth(targets), found, self.labels, len(targets), self.class_range, self.count_unseen)
