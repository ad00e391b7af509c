"""The bounded memory of a stream: the last sweeps of a radar and the last poses of the car."""

from __future__ import annotations

import bisect
import itertools

import numpy as np

from mmkeras.driving.drives.times import usable
from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["EgoTrack", "SweepBuffer"]


class SweepBuffer:
    """The last sweeps of one radar, in the order of their timestamps.

    Args:
        size: most sweeps held; more than are used for one frame, because a late frame needs older ones.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._sweeps: list[Sweep] = []

    def __contains__(self, timestamp: object) -> bool:
        return any(sweep.timestamp == timestamp for sweep in self._sweeps)

    def add(self, sweep: Sweep) -> None:
        """Insert a sweep; the oldest is removed when there are too many."""
        bisect.insort(self._sweeps, sweep, key=lambda s: s.timestamp)
        del self._sweeps[: -self._size]

    def expire(self, before: int) -> None:
        """Remove the sweeps taken before a time."""
        self._sweeps = [sweep for sweep in self._sweeps if sweep.timestamp >= before]

    def clear(self) -> None:
        """Remove all sweeps."""
        self._sweeps = []

    def newest(self) -> int | None:
        """Return the largest timestamp; None when empty."""
        return self._sweeps[-1].timestamp if self._sweeps else None

    def partners(self, timestamp: int, max_skew: int, max_age: int, count: int) -> list[Sweep]:
        """Return the newest sweeps that `usable` keeps for a frame, at most ``count``, newest first."""
        kept = usable([sweep.timestamp for sweep in self._sweeps], timestamp, max_skew, max_age)
        return list(itertools.compress(self._sweeps, kept))[: -count - 1 : -1]


class EgoTrack:
    """Recent poses of the car, and extrapolated ones while no frame comes.

    Args:
        reach: most microseconds of extrapolation.
        size: most poses held.
    """

    def __init__(self, reach: int = 500_000, size: int = 32) -> None:
        self._reach, self._size = reach, size
        self._times: list[int] = []
        self._poses: list[Pose] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, timestamp: int, pose: Pose) -> None:
        """Add a pose, unless one of the same time is known."""
        place = bisect.bisect_left(self._times, timestamp)
        if place < len(self._times) and self._times[place] == timestamp:
            return
        self._times.insert(place, timestamp)
        self._poses.insert(place, pose)
        del self._times[: -self._size], self._poses[: -self._size]

    def clear(self) -> None:
        """Remove all poses."""
        self._times, self._poses = [], []

    def at(self, timestamp: int) -> Pose:
        """Return the pose at a time, interpolated between known poses or extrapolated at the speed of the last ones.

        Raises:
            LookupError: no pose is known.
        """
        if not self._times:
            raise LookupError("no ego pose is known yet")
        place = bisect.bisect_left(self._times, timestamp)
        if place < len(self._times) and self._times[place] == timestamp:
            return self._poses[place]
        if len(self._times) == 1 or place == 0:
            return self._poses[0]
        second = min(place, len(self._times) - 1)
        # Two poses a few milliseconds apart give no precise speed; take one at least 50 ms older.
        first = second - 1
        while place == len(self._times) and first > 0 and self._times[second] - self._times[first] < 50_000:
            first -= 1
        span = self._times[second] - self._times[first]
        share = min(timestamp - self._times[first], span + self._reach) / span
        return _between(self._poses[first], self._poses[second], share)


def _between(first: Pose, second: Pose, share: float) -> Pose:
    """Return a pose on the straight line through two; a share above 1 lies beyond the second."""
    a, b = np.asarray(first.rotation), np.asarray(second.rotation)
    b = -b if a @ b < 0 else b
    rotation = a + (b - a) * share
    place = np.asarray(first.translation) + (np.asarray(second.translation) - first.translation) * share
    return Pose(tuple(place.tolist()), tuple((rotation / np.linalg.norm(rotation)).tolist()))
