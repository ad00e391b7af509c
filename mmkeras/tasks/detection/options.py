"""What a user chooses of the detection task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, camera_of
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._labels import as_labels, check_share
from mmkeras.tasks.detection.checks import camera_problems, range_problems
from mmkeras.tasks.detection.classes import CLASS_RANGE, DEFAULT_RANGE
from mmkeras.tasks.detection.peaks import MAPS
from mmkeras.tasks.detection.task import Spec

__all__ = ["Config"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the detection task."""

    labels: tuple[str, ...] = ("car", "truck", "pedestrian", "bicycle")
    """The classes in the order of the heatmap's channels."""
    camera: tuple[float, ...] = ()
    """The model's camera as `PinholeCamera` takes it: width, height, focal length, centre x and y, in pixels of the
    image that the model sees. Empty takes that of the picture, whose options size, focal and centre describe it."""
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

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec.

        Args:
            modalities: the picture among them whose camera is known gives the camera, unless it is given here.
            facts: not used.

        Raises:
            ConfigError: no camera, or another one than that of the picture.
        """
        del facts
        camera = camera_of(modalities, self.camera, "model.task.options.camera")
        ranges = {**CLASS_RANGE, **self.class_range}
        return Spec(
            labels=self.labels,
            camera=camera,
            camera_pose=self.camera_pose,
            stride=self.stride,
            max_objects=self.max_objects,
            max_detections=self.max_detections,
            score_threshold=float(self.score_threshold),
            class_range=tuple(float(ranges.get(label, DEFAULT_RANGE)) for label in self.labels),
            count_unseen=self.count_unseen,
        )
