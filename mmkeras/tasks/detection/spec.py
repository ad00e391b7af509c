"""3D detection: its options, and the `Spec` of `mmkeras.tasks.detection.task`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, camera_of
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._labels import as_labels, check_share, unknown_labels
from mmkeras.tasks.detection.classes import CLASS_RANGE, DEFAULT_RANGE
from mmkeras.tasks.detection.peaks import MAPS
from mmkeras.tasks.detection.target import as_pose
from mmkeras.tasks.detection.task import Spec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the detection task."""

    labels: tuple[str, ...] = ("car", "truck", "pedestrian", "bicycle")
    """The classes in the order of the heatmap's channels."""
    camera: tuple[float, ...] = ()
    """The model's camera: width, height, focal length, centre x and y, in pixels of the model's image. Empty takes it
    from the options size, focal and centre of the picture."""
    camera_pose: tuple[float, ...] = (1.7, 0.0, 1.5, 0.5, -0.5, 0.5, -0.5)
    """Camera -> ego of frames without a pose: tx, ty, tz (m), qw, qx, qy, qz. The default looks straight ahead."""
    stride: int = 8
    """Pixels per cell of the maps."""
    max_objects: int = 32
    """Most objects in a target; the nearest are kept."""
    max_detections: int = 50
    """Most detections in a frame; the most confident are kept."""
    score_threshold: float = 0.3
    """Lowest confidence of a detection. The metrics use detections of any confidence, as in nuScenes."""
    class_range: dict[str, float] = dataclasses.field(default_factory=dict)
    """Distance (m) from the ego vehicle up to which a class is scored; by default that of nuScenes."""
    count_unseen: bool = False
    """Score objects without a radar or lidar point too; nuScenes leaves them out."""
    dropout: float = 0.0
    """Share of the features dropped before the last layers in training."""
    channels: int = 64
    """Channels of the head's convolutions."""
    convolutions: int = 2
    """Separable 3x3 convolutions before the last layers."""
    box_weight: float = 0.2
    """Weight of the 2D box in the loss; the heatmap's is 1."""
    offset_weight: float = 1.0
    """Weight of the centre's position within its cell."""
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
        problems += unknown_labels(self.class_range, self.labels, "class_range")
        problems += [
            f"class_range.{name}: expected a distance above 0 m, got {value!r}"
            for name, value in self.class_range.items()
            if not value > 0
        ]
        camera = self.camera
        if camera and not (len(camera) == 5 and all(map(math.isfinite, camera)) and min(camera[:3]) > 0):
            problems.append(
                "camera: expected width, height and focal length above 0, then centre x and y, all in pixels; "
                f"got {list(camera)}"
            )
        try:
            as_pose(self.camera_pose)
        except DataError as error:
            problems.append(f"camera_pose: {error}")
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

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, with the camera of the picture unless it is given here.

        Raises:
            ConfigError: no camera, or another camera than the picture's.
        """
        ranges = {**CLASS_RANGE, **self.class_range}
        return Spec(
            labels=self.labels,
            camera=camera_of(modalities, self.camera, "model.task.options.camera"),
            camera_pose=self.camera_pose,
            stride=self.stride,
            max_objects=self.max_objects,
            max_detections=self.max_detections,
            score_threshold=float(self.score_threshold),
            class_range=tuple(float(ranges.get(label, DEFAULT_RANGE)) for label in self.labels),
            count_unseen=self.count_unseen,
        )
