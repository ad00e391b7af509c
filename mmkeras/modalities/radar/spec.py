"""The radar modality: its options, and its tensors and preprocessing on the device.

A raw value is a set of radar points in the camera's frame, float32 (N, 8) with the columns ``x y z rcs vx vy vz dt`` of
`mmkeras.media.points.radar_cloud.POINT_FIELDS`, or a .pcd file with these fields.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, named, nearest
from mmkeras.media.points.pcd import read_pcd
from mmkeras.media.points.radar_cloud import POINT_FIELDS
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, ModalitySpec, TensorSpec, camera_of
from mmkeras.modalities._config import off_centre, out_of_range
from mmkeras.modalities._moves import MIRROR

__all__ = ["FEATURES", "Config", "RawPoints", "Spec", "read_points", "rotated", "staled", "thinned"]

RawPoints: TypeAlias = Any
"""float32 (N, 8), the path or bytes of a .pcd file with the same columns, or an object with a method ``points()``."""

FEATURES = ("x", "z", "u", "v", "rcs", "vx", "vz", "dt", "log_range")
"""Features of a point: metres to the right and ahead, position in the picture (0 to 1), dBsm, m/s, seconds since the
sweep, and the logarithm of the distance in metres."""

FORMS = ("points", "channels")
NEAREST = 1.0
"""Metres ahead of the camera within which points belong to the car itself."""
MARGIN = 0.1
"""Points beside the picture are kept up to this share of its width: objects extend over its edge."""


@dataclass(frozen=True)
class Config(ModalityConfig):
    """A radar input and its encoder."""

    apart: ClassVar[tuple[str, ...]] = ("max_range", "sweeps", "camera", "disturb", "stale", "misalign", "lose")
    kind: Literal["radar"] = field(default="radar", kw_only=True)
    """Kind of the modality."""
    max_points: int = 128
    """Most points of a sample: the newest, and of one sweep the nearest."""
    max_range: float = 80.0
    """Metres ahead of the camera beyond which points are left out."""
    sweeps: int = 6
    """Most sweeps of each radar in a sample, also in a vehicle's stream."""
    camera: tuple[float, ...] = ()
    """The model's camera, for the position of a point in the picture: width, height, focal length and centre in pixels.
    Empty takes that of the picture."""
    form: Literal["points", "channels"] = "points"
    """points gives the fusion a token per point, channels draws them into the channels of a picture, as in CRF-Net."""
    grid: tuple[int, ...] = ()
    """Rows and columns of the drawn picture. Empty takes those of the picture's map."""
    layers: int = 1
    """Transformer layers over the points."""
    heads: int = 4
    """Attention heads of these layers."""
    learning_rate_factor: float = 1.0
    """Learning rate of the encoder relative to the rest of the model."""
    disturb: float = 0.0
    """Augmentation: probability that a sample's radar is disturbed by the three options below."""
    stale: float = 0.3
    """Augmentation: a disturbed radar is late by up to this many seconds."""
    misalign: float = 3.0
    """Augmentation: a disturbed radar is turned by up to this many degrees to either side."""
    lose: float = 0.5
    """Augmentation: a disturbed radar loses up to this share of its points."""

    def __post_init__(self) -> None:
        """Check all values, with a `ConfigError` that lists the wrong ones."""
        problems = []
        problems += out_of_range(self, ("max_points", "sweeps", "heads"), "at least 1", lambda value: value >= 1)
        problems += out_of_range(self, ("layers",), "at least 0", lambda value: value >= 0)
        if self.form not in FORMS:
            problems.append(f"form: {self.form!r} is unknown; {nearest(self.form, FORMS)}")
        if self.max_range <= NEAREST:
            problems.append(f"max_range: expected metres beyond {NEAREST}, got {self.max_range}")
        if self.camera and not (
            len(self.camera) == 5 and all(map(math.isfinite, self.camera)) and min(self.camera[:3]) > 0
        ):
            problems.append(f"camera: expected width, height, focal length and centre in pixels, got {self.camera}")
        if self.grid and (len(self.grid) != 2 or min(self.grid) < 1):
            problems.append(f"grid: expected rows and columns, got {self.grid}")
        problems += out_of_range(self, ("disturb", "lose"), "a share from 0 to 1", lambda value: 0 <= value <= 1)
        factors = ("stale", "misalign", "learning_rate_factor")
        problems += out_of_range(self, factors, "0 or more", lambda value: value >= 0)
        if problems:
            raise ConfigError("\n".join(f"radar {problem}" for problem in problems))

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the spec; an empty camera or grid is taken from a picture among the modalities.

        Raises:
            ConfigError: no camera, or one that differs from that of the picture.
        """
        del facts
        camera = camera_of(modalities, self.camera, f"model.{name}.camera")
        grid = self.grid or next((tuple(spec.grid) for spec in modalities.values() if spec.grid), ())
        return Spec(name, self.max_points, self.max_range, camera, self.sweeps, grid)


@dataclass(frozen=True)
class Spec(ModalitySpec):
    """``<name>_points`` float32 (max_points, 9) in physical units and ``<name>_mask`` int32 (max_points,)."""

    kind: ClassVar[str] = "radar"
    reads_files: ClassVar[bool] = True
    follows: ClassVar[tuple[str, ...]] = (MIRROR,)
    shapes_records: ClassVar[tuple[str, ...]] = ("camera", "max_points", "max_range")

    max_points: int = 128
    """Most points of a sample."""
    max_range: float = 80.0
    """Metres ahead of the camera."""
    camera: tuple[float, ...] = (256.0, 96.0, 200.0, 128.0, 48.0)
    """Width, height, focal length and centre of the model's camera, in pixels."""
    sweeps: int = 6
    """Most sweeps of each radar in a sample."""
    grid: tuple[int, ...] = ()
    """Rows and columns of the drawn picture, for the form ``channels``."""

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The features of the points, and the mask of real points."""
        return (
            TensorSpec(f"{self.name}_points", (self.max_points, len(FEATURES)), "float32"),
            TensorSpec(f"{self.name}_mask", (self.max_points,), "int32"),
        )

    def cannot_follow(self, move: str) -> str:
        """Return why the points cannot follow a move: a shift of the picture would change their positions in space."""
        if move == MIRROR:
            return off_centre(self.camera)
        return "its points have places in space, not in the picture alone"

    def preprocess(self, value: RawPoints) -> dict[str, np.ndarray]:
        """Select points and compute their features; an empty cloud is valid."""
        points = self.select(read_points(value))
        features = np.zeros((self.max_points, len(FEATURES)), np.float32)
        features[: len(points)] = self.features(points)
        mask = np.zeros(self.max_points, np.int32)
        mask[: len(points)] = 1
        return {f"{self.name}_points": features, f"{self.name}_mask": mask}

    def select(self, points: np.ndarray) -> np.ndarray:
        """Return the points for the model (at most ``max_points``, 8): the newest first, then the nearest."""
        points = points[np.isfinite(points).all(axis=1)]
        width, _, focal, centre_x, _ = self.camera
        x, z = points[:, 0].astype(np.float64), points[:, 2].astype(np.float64)
        ahead = (z > NEAREST) & (z < self.max_range)
        column = focal * x / np.where(ahead, z, 1.0) + centre_x
        kept = ahead & (column > -MARGIN * width) & (column < (1 + MARGIN) * width)
        points, away = points[kept], np.hypot(x, z)[kept]
        return np.asarray(points[np.lexsort((away, points[:, 7]))][: self.max_points])

    def features(self, points: np.ndarray) -> np.ndarray:
        """Return the features float32 (N, 9) of selected points (N, 8)."""
        width, height, focal, centre_x, centre_y = (np.float32(value) for value in self.camera)
        x, y, z, rcs, vx, _, vz, dt = np.asarray(points, np.float32).T
        u = (focal * x / z + centre_x) / width
        # Many radars do not measure elevation: points above or below the picture move to its edge.
        v = np.clip((focal * y / z + centre_y) / height, np.float32(0), np.float32(1))
        away = np.log(np.sqrt(x * x + z * z))
        return np.stack([x, z, u, v, rcs, vx, vz, dt, away], axis=1).astype(np.float32)

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return late, misaligned, thinned and empty points, on which exports are verified too."""
        return {
            "stale": lambda value: staled(read_points(value), 0.2),
            "misaligned_1": lambda value: rotated(read_points(value), 1.0),
            "misaligned_5": lambda value: rotated(read_points(value), 5.0),
            "half": lambda value: thinned(read_points(value), 0.5),
            "empty": lambda value: np.zeros((0, len(POINT_FIELDS)), np.float32),
        }

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that also describes the tensors, for readers without mmkeras."""
        return {**super().to_json(), "features": list(FEATURES), "units": "m, m, share, share, dBsm, m/s, m/s, s, ln m"}


def read_points(value: RawPoints) -> np.ndarray:
    """Return radar points float32 (N, 8) from any raw form.

    Raises:
        DataError: not radar points, or a file that cannot be read; names the file.
    """
    if hasattr(value, "points"):
        value = value.points()
    if isinstance(value, (str, bytes, os.PathLike)):
        cloud = read_pcd(value)
        where = named(value) if not isinstance(value, bytes) else f"point cloud of {len(value)} bytes"
        if any(name not in cloud.columns for name in POINT_FIELDS):
            raise DataError(
                f"{where}: expected the fields {' '.join(POINT_FIELDS)} in the camera's frame, "
                f"got {' '.join(cloud.fields)}. A sensor's own .pcd needs its calibration: see mmkeras.driving.drives"
            )
        try:
            value = cloud.table(POINT_FIELDS)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    points = np.asarray(value)
    if points.ndim != 2 or points.shape[1] != len(POINT_FIELDS) or points.dtype.kind not in "fiu":
        raise DataError(
            f"Expected radar points (N, {len(POINT_FIELDS)}) with the columns {' '.join(POINT_FIELDS)}, "
            f"got {points.dtype} {points.shape}"
        )
    return points.astype(np.float32)


def staled(points: np.ndarray, seconds: float) -> np.ndarray:
    """Return the points as an older sweep: moved back by their velocities, with ``dt`` increased."""
    moved = points.copy()
    moved[:, :3] -= np.float32(seconds) * points[:, 4:7]
    moved[:, 7] += np.float32(seconds)
    return moved


def rotated(points: np.ndarray, degrees: float) -> np.ndarray:
    """Return the points of a radar whose mounting is turned to the right."""
    angle = math.radians(degrees)
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    turned = points.copy()
    for right, ahead in ((0, 2), (4, 6)):
        turned[:, right] = c * points[:, right] + s * points[:, ahead]
        turned[:, ahead] = c * points[:, ahead] - s * points[:, right]
    return turned


def thinned(points: np.ndarray, share: float) -> np.ndarray:
    """Return the points without a random share of them, which is always the same for the same points."""
    seed = np.frombuffer(np.ascontiguousarray(points[:, :3]).tobytes(), np.uint8).astype(np.uint64).sum()
    return points[np.random.default_rng(int(seed)).random(len(points)) >= share]
