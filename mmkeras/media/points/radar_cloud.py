"""Radar sweeps of nuScenes, and their points in a camera's frame.

Recorded drives and the stream on a vehicle both use `points_in_camera`, so a model gets the same numbers in training
and on the road.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.media.geometry import Pose
from mmkeras.media.points.pcd import read_pcd

__all__ = [
    "NUSCENES_FILTER",
    "POINT_FIELDS",
    "RadarFilter",
    "Sweep",
    "SweepFile",
    "SweepFiles",
    "points_in_camera",
    "read_nuscenes_radar",
]

POINT_FIELDS = ("x", "y", "z", "rcs", "vx", "vy", "vz", "dt")
"""Columns of radar points: camera frame (m), dBsm, camera frame (m/s), frame time less sweep time (s)."""
SWEEP_FIELDS = ("x", "y", "z", "rcs", "vx_comp", "vy_comp")
MICROSECOND = 1e-6


@dataclass(frozen=True)
class RadarFilter:
    """The states of the clusters of a nuScenes radar that are kept; ``None`` keeps all.

    The defaults are those of nuscenes-devkit 1.2.0 (``RadarPointCloud``), where the states are documented.
    """

    invalid_states: tuple[int, ...] | None = (0,)
    """0 is valid; 4, 8..12 and 15..17 are valid with a reservation, the others are not."""
    dyn_props: tuple[int, ...] | None = (0, 1, 2, 3, 4, 5, 6)
    """0 moving, 1 stationary, 2 oncoming, 3 stationary candidate, 4 unknown, 5, 6 crossing, 7 stopped."""
    ambig_states: tuple[int, ...] | None = (3,)
    """State of the velocity's ambiguity; 3 is unambiguous."""

    def keep(self, states: dict[str, np.ndarray]) -> np.ndarray:
        """Return bool (N,) for columns ``invalid_state``, ``dyn_prop`` and ``ambig_state``, each (N,).

        Raises:
            DataError: the column of a filter is missing.
        """
        kept = np.ones(len(next(iter(states.values()), ())), bool)
        wanted = {"invalid_state": self.invalid_states, "dyn_prop": self.dyn_props, "ambig_state": self.ambig_states}
        for name, values in wanted.items():
            if values is not None and name not in states:
                raise DataError(f"no field {name!r}, which the filter of radar states needs; switch that filter off")
            if values is not None:
                kept &= np.isin(states[name], values)
        return kept


NUSCENES_FILTER = RadarFilter()
"""The default of nuscenes-devkit."""


@dataclass(frozen=True)
class Sweep:
    """The points of one scan of a radar."""

    cloud: np.ndarray
    """Points (N, 6): x, y, z (m), rcs (dBsm), vx_comp, vy_comp (m/s, radial, freed of the ego motion), sensor frame."""
    timestamp: int
    sensor: Pose
    """Sensor -> ego."""
    ego: Pose
    """Ego -> global at the time of the sweep."""
    channel: str = ""
    """For example ``RADAR_FRONT``."""
    path: str = ""
    """The file, for messages."""

    @functools.cached_property
    def to_global(self) -> np.ndarray:
        """The homogeneous matrix (4, 4) from the sensor's frame to the global one."""
        return np.asarray(self.ego.matrix @ self.sensor.matrix)


def points_in_camera(sweeps: Iterable[Sweep], camera: Pose, ego: Pose, timestamp: int) -> np.ndarray:
    """Transform sweeps of any radars into a camera's frame at the camera's time, ``timestamp`` in microseconds.

    ``camera`` is camera -> ego, ``ego`` is ego -> global at that time; each sweep is transformed by its own poses.
    Velocities are rotated, too; nuscenes-devkit leaves them in the sensor's frame. Objects are not moved: ``dt``
    holds the age of their sweep.

    Returns:
        float32 (N, 8), columns `POINT_FIELDS`, in the order of the sweeps.
    """
    sweeps = list(sweeps)
    if not sweeps:
        return np.empty((0, len(POINT_FIELDS)), np.float32)
    # All sweeps at once, because on a vehicle this adds to the latency of every prediction.
    clouds = [np.asarray(sweep.cloud).reshape(-1, len(SWEEP_FIELDS)) for sweep in sweeps]
    counts = [len(cloud) for cloud in clouds]
    cloud = np.concatenate(clouds, dtype=np.float64)
    to_camera = np.linalg.inv(ego.matrix @ camera.matrix)
    matrices = np.repeat(to_camera[:3] @ np.array([sweep.to_global for sweep in sweeps]), counts, axis=0)
    points = np.empty((len(cloud), len(POINT_FIELDS)), np.float32)
    points[:, :3] = np.einsum("nij,nj->ni", matrices[:, :, :3], cloud[:, :3]) + matrices[:, :, 3]
    points[:, 3] = cloud[:, 3]
    points[:, 4:7] = np.einsum("nij,nj->ni", matrices[:, :, :2], cloud[:, 4:])
    lags = [(timestamp - sweep.timestamp) * MICROSECOND for sweep in sweeps]
    points[:, 7] = np.repeat(lags, counts)
    return points


def read_nuscenes_radar(path: str | os.PathLike[str], filter: RadarFilter = NUSCENES_FILTER) -> np.ndarray:
    """Read the clusters of one nuScenes radar file.

    Returns:
        float32 (N, 6): x, y, z, rcs, vx_comp, vy_comp in the sensor's frame. nuScenes writes an empty cloud as NaN in
        the first record; it is returned as (0, 6).

    Raises:
        DataError: a missing, truncated or foreign file, one without any record, or NaN in a later record.
    """
    name = os.fspath(path)
    cloud = read_pcd(path)
    if not len(cloud):
        raise DataError(f"{name}: no records; nuScenes writes an empty cloud as one record of NaN")
    try:
        table = cloud.table(SWEEP_FIELDS)
        kept = filter.keep({field: values for field, values in cloud.columns.items() if values.ndim == 1})
    except DataError as error:
        raise DataError(f"{name}: not a nuScenes radar file: {error}") from None
    if any(np.isnan(values[0]).any() for values in cloud.columns.values()):
        return np.empty((0, len(SWEEP_FIELDS)), np.float32)
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1) & kept)
    if len(wrong):
        raise DataError(f"{name}: record {wrong[0]} of {len(table)} holds NaN or infinity: {table[wrong[0]].tolist()}")
    return table[kept]


@dataclass(frozen=True)
class SweepFile:
    """The file of one sweep of a recorded drive."""

    path: str
    timestamp: int
    sensor: Pose
    """Sensor -> ego."""
    ego: Pose
    """Ego -> global at the time of the sweep."""
    channel: str
    """For example ``RADAR_FRONT``."""
    token: str = ""
    """Token of its record in ``sample_data.json``."""

    def read(self, filter: RadarFilter = NUSCENES_FILTER) -> Sweep:
        """Read the file."""
        cloud = read_nuscenes_radar(self.path, filter)
        return Sweep(cloud, self.timestamp, self.sensor, self.ego, self.channel, self.path)


@dataclass(frozen=True, eq=False)
class SweepFiles:
    """The files of the sweeps of one frame, with their poses; `points` reads them."""

    paths: tuple[str, ...]
    """Newest sweep of each radar first."""
    timestamps: tuple[int, ...]
    sensors: tuple[Pose, ...]
    """Sensor -> ego of each file."""
    egos: np.ndarray
    """float64 (N, 7): ego -> global of each file as translation x, y, z and quaternion w, x, y, z."""
    camera: Pose
    """Camera -> ego."""
    ego: Pose
    """Ego -> global at the time of the frame."""
    timestamp: int
    """Microseconds."""
    filter: RadarFilter = field(default_factory=RadarFilter)
    allow_empty: bool = False
    """Whether an empty result is allowed."""
    too_old: int = 0
    """Number of radars whose sweeps are too old for the frame."""

    def sweeps(self) -> list[Sweep]:
        """Read the files."""
        result = []
        for path, timestamp, sensor, ego in zip(self.paths, self.timestamps, self.sensors, self.egos, strict=True):
            try:
                pose = Pose(tuple(ego[:3].tolist()), tuple(ego[3:].tolist()))
            except DataError as error:
                raise DataError(f"{path}: its ego pose: {error}") from None
            result.append(Sweep(read_nuscenes_radar(path, self.filter), timestamp, sensor, pose, path=path))
        return result

    def points(self) -> np.ndarray:
        """Return float32 (N, 8), columns `POINT_FIELDS`, in the camera's frame at the frame's time.

        Raises:
            DataError: a file that cannot be used, or no points at all where `allow_empty` is off.
        """
        points = points_in_camera(self.sweeps(), self.camera, self.ego, self.timestamp)
        if not len(points) and not self.allow_empty:
            first = self.paths[0] if self.paths else "no file"
            raise DataError(f"{first}: no radar point in this sweep and {max(len(self.paths) - 1, 0)} others")
        return points
