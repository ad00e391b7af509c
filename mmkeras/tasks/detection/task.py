"""3D detection: the output maps, and the decoding and scoring of boxes."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.media.geometry import PinholeCamera, Pose
from mmkeras.modalities import TensorSpec, off_centre
from mmkeras.modalities._moves import MIRROR
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._targets import TargetSpec
from mmkeras.tasks.detection.agreement import disagree
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.nuscenes_metric import DISTANCES, ERROR_DISTANCE
from mmkeras.tasks.detection.peaks import MAPS, boxes_at_peaks
from mmkeras.tasks.detection.scores import box_scores, picture_evidence, space_evidence
from mmkeras.tasks.detection.target import COLUMNS, as_pose, encode_target, read_poses, read_truth

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec(TaskSpec):
    """3D boxes with speed from maps of h x w cells (``stride`` pixels each) over the model's image.

    The primary metric is nuScenes' mean average precision over the classes that occur, on the objects in the camera's
    image. `mmkeras.tasks.detection.target` describes the targets.
    """

    kind: ClassVar[str] = "detection"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels", "max_objects", "camera", "camera_pose")
    follows: ClassVar[tuple[str, ...]] = (MIRROR,)
    metric: ClassVar[str] = "mAP"
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "metric"

    labels: tuple[str, ...]
    """The classes in the order of the heatmap's channels."""
    camera: tuple[float, ...]
    """The model's camera: width, height, focal length, centre x and y, in pixels."""
    camera_pose: tuple[float, ...]
    """Camera -> ego of frames without a pose: tx, ty, tz (m), qw, qx, qy, qz."""
    stride: int
    """Pixels per cell."""
    max_objects: int
    """Objects in a target."""
    max_detections: int
    """Detections of a frame."""
    score_threshold: float
    """Lowest confidence of a detection."""
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
        """Camera -> ego of frames without a pose."""
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
          camera's frame: 0 is straight away from the camera along the viewing ray, and positive is to the right.
        - ``velocity`` (2): over ground, along the camera's x (right) and z (forward), in m/s.
        """
        rows, columns = self.cells
        maps = {"heatmap": len(self.labels), **MAPS}
        return tuple(TensorSpec(name, (rows, columns, channels), "float32") for name, channels in maps.items())

    @property
    def target(self) -> TargetSpec:
        """``target`` (max_objects + 1, 20) float32: objects nearest first, then the pose camera -> ego."""
        return TargetSpec("target", (self.max_objects + 1, COLUMNS), "float32")

    def cannot_follow(self, move: str) -> str:
        """Return why the boxes cannot follow a move: a shift would make their 3D positions wrong."""
        if move == MIRROR:
            return off_centre(self.camera)
        return "its boxes have places in space, not in the picture alone"

    def encode(self, target: Any) -> np.ndarray:
        """Return ``{"boxes": boxes in the ego frame, "camera": pose camera -> ego}`` as an array.

        See `mmkeras.tasks.detection.target.encode_target`. Objects whose centre is not in the image are left out.
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
            poses: camera -> ego of each sample; ``camera_pose`` by default.
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

    def decode(self, outputs: Outputs, poses: Iterable[Pose] | None = None) -> list[dict[str, Any]]:
        """Return ``{"detections": [...]}`` per sample, most confident first, at least ``score_threshold`` confident.

        A detection is ``{"class", "score", "box": [left, top, right, bottom] in pixels of the model's image, "centre":
        [x, y, z] m, "size": [width, length, height] m, "yaw": rad, "velocity": [vx, vy] m/s over ground, "distance": m
        along the ground, "attribute"}``, in the ego frame. Cells that are not finite are skipped.

        Args:
            outputs: maps (B, h, w, ...).
            poses: camera -> ego of each sample; ``camera_pose`` by default.
        """
        return self.found(outputs, poses, self.score_threshold).answers(self.labels, len(outputs["heatmap"]))

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): the detections above ``score_threshold`` differ, or a map is not finite in a model.

        Detections differ in number or class, by more than a centimetre in a centre, or by more than 0.001 in a score.
        """
        first, second = (self.found(each, threshold=self.score_threshold) for each in (reference, candidate))
        return disagree(reference, candidate, first, second)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return the detections of each sample and how they match its objects, see `mmkeras.tasks.detection.scores`."""
        targets = np.asarray(targets).reshape(-1, *self.target.shape)
        found = self._found(outputs, *read_poses(targets), threshold=0.0)
        truth, size, unseen = self.truth(targets), (len(targets), self.max_detections), self.count_unseen
        return {
            **space_evidence(truth, found, self.labels, *size, self.class_range, unseen),
            **picture_evidence(truth, found, len(self.labels), *size, unseen),
        }

    def of_rows(self, evidence: Evidence, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the nuScenes metrics on the objects in the image, see `mmkeras.tasks.detection.scores`."""
        return box_scores(evidence, self.labels, weights)

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return missed objects plus false detections of each frame, float (N,).

        Only scored objects and detections count, and only detections above ``score_threshold``.
        """
        shown = evidence["near"] & (evidence["score"] >= np.float32(self.score_threshold))
        hits = shown & evidence["hit"][..., DISTANCES.index(ERROR_DISTANCE)]
        return np.asarray(evidence["objects"].sum(axis=1) + shown.sum(axis=1) - 2.0 * hits.sum(axis=1))

    def class_metrics(self) -> dict[str, str]:
        """Return the name of each class's average precision."""
        return {label: f"AP_{label}" for label in self.labels}
