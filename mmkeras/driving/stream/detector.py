"""The model of a stream: a detection bundle with a camera, radars or both, run on one frame in four steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError
from mmkeras.driving.stream.messages import Frame
from mmkeras.driving.stream.settings import Settings
from mmkeras.media.geometry import PinholeCamera, Pose
from mmkeras.media.image.pixels import Window
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities.radar.spec import Spec as RadarSpec
from mmkeras.runtime.predictor import Predictor
from mmkeras.tasks.detection.spec import Spec

__all__ = ["BundleDetector", "Detector", "Tensors"]

Tensors = Mapping[str, np.ndarray]


class Detector(Protocol):
    """What a stream needs of a model; `BundleDetector` implements it for bundles."""

    has_camera: bool
    has_radar: bool
    camera_pose: Pose
    """Camera -> ego until the first frame."""

    def image_inputs(self, frame: Frame) -> Tensors:
        """Return the tensors of a frame's image."""

    def radar_inputs(self, points: np.ndarray) -> Tensors:
        """Return the tensors of radar points (N, 8) in the camera's frame."""

    def infer(self, image: Tensors | None, radar: Tensors | None) -> Tensors:
        """Return the model's outputs; None stands for an absent sensor. At least one input is given."""

    def decode(self, outputs: Tensors, camera: Pose) -> list[dict[str, Any]]:
        """Return detections in the ego frame."""


class BundleDetector:
    """A detection bundle on one engine; several threads and streams may share it.

    Args:
        predictor: a loaded predictor; the caller closes it.

    Raises:
        ConfigError: not a detection bundle, more than one camera or radar input, or neither.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        bundle = predictor.bundle
        if not isinstance(bundle.task, Spec):
            raise ConfigError(
                f"{bundle.folder} answers {bundle.task.kind}; a stream needs a detection bundle, "
                "such as saved_models/camera_radar that python -m pipelines.camera_radar writes."
            )
        self._image = _only(bundle, "image")
        self._radar = _only(bundle, "radar")
        if self._image is None and self._radar is None:
            raise ConfigError(f"{bundle.folder} has neither a camera nor a radar: {', '.join(bundle.specs)}")
        self.has_camera = self._image is not None
        self.has_radar = self._radar is not None
        self.sweeps: int = self._radar.sweeps if isinstance(self._radar, RadarSpec) else Settings().sweeps
        """Sweeps of each radar in training."""
        self._task = bundle.task
        self.camera: PinholeCamera = self._task.pinhole
        self.camera_pose: Pose = self._task.pose
        self._absent = {
            spec.name: {name: np.asarray(array)[None] for name, array in spec.inputs(None).items()}
            for spec in bundle.specs.values()
        }
        self._window: tuple[np.ndarray, tuple[float, float, float, float]] | None = None

    def window(self, frame: Frame) -> Window:
        """Return the part of a frame that the model sees."""
        # Read once and replaced as a whole: another stream may share this detector and have another camera.
        known = self._window
        if known is None or known[0] is not frame.intrinsic:
            known = self._window = (frame.intrinsic, self.camera.window(frame.intrinsic))
        return Window(frame.image, known[1], (round(self.camera.height), round(self.camera.width)))

    def image_inputs(self, frame: Frame) -> Tensors:
        """Return the tensors of a frame's image, with a batch dimension of 1."""
        return _present(self._image, self.window(frame))

    def radar_inputs(self, points: np.ndarray) -> Tensors:
        """Return the tensors of radar points (N, 8), with a batch dimension of 1."""
        return _present(self._radar, points)

    def infer(self, image: Tensors | None, radar: Tensors | None) -> Tensors:
        """Run the engine once."""
        inputs: dict[str, np.ndarray] = {}
        for name, absent in self._absent.items():
            given = image if self._image and name == self._image.name else None
            given = radar if self._radar and name == self._radar.name else given
            inputs.update(absent if given is None else given)
        return self.predictor.runner.infer(inputs)

    def decode(self, outputs: Tensors, camera: Pose) -> list[dict[str, Any]]:
        """Return detections in the ego frame, best first."""
        found: list[dict[str, Any]] = self._task.decode(outputs, [camera])[0]["detections"]
        return found


def _only(bundle: Bundle, kind: str) -> ModalitySpec | None:
    found = [spec for spec in bundle.specs.values() if spec.kind == kind]
    if len(found) > 1:
        raise ConfigError(
            f"{bundle.folder}: a stream takes one {kind} modality, got {', '.join(spec.name for spec in found)}"
        )
    return found[0] if found else None


def _present(spec: ModalitySpec | None, value: Any) -> Tensors:
    if spec is None:
        return {}
    return {name: np.asarray(array)[None] for name, array in spec.inputs(value).items()}
