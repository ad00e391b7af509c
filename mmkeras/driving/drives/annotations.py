"""The annotated boxes of a nuScenes drive, with velocities as nuscenes-devkit computes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.snapshot import CATEGORIES, Box, numbers, pose_in
from mmkeras.driving.drives.tables import Table
from mmkeras.media.geometry import Pose

__all__ = ["Annotations"]

MAX_GAP = 1_500_000
"""Microseconds between two annotations of an object that a velocity may span, or twice that across a third one."""
VISIBILITY = {"v0-40": 1, "v40-60": 2, "v60-80": 3, "v80-100": 4}


class Annotations:
    """The tables about annotated objects."""

    def __init__(self, folder: Path, samples: Table) -> None:
        """Index the tables in a folder; ``samples`` is the table ``sample`` with its column ``timestamp``."""
        self._samples = samples
        columns = dict.fromkeys(("sample_token", "prev", "next"), "S")
        self._table = Table(folder / "sample_annotation.json", columns)
        sample = self._table.link("sample_token", samples)
        # A missing neighbour is reported only when a box is read whose velocity needs it.
        self._known_gap = {name: self._table.columns[name] != b"" for name in ("prev", "next")}
        for name in ("prev", "next"):
            self._table.link(name, self._table, optional=True)
        self._table.forget("token")
        self._order = np.argsort(sample, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(sample[self._order], np.arange(len(samples) + 1))
        self._instances = Table(folder / "instance.json", {"category_token": "S"})
        self._categories = _names(folder / "category.json", "name")
        self._attributes = _names(folder / "attribute.json", "name")
        self._visibility = _names(folder / "visibility.json", "level")

    def boxes(self, sample: int, ego: Pose) -> list[Box]:
        """Return the boxes of a sample in the order of the table, in the frame of ``ego`` (ego -> global).

        Raises:
            DataError: a record with an unknown token, an invalid rotation or an invalid box; it names the file and the
                token.
        """
        rows = self._order[self._starts[sample] : self._starts[sample + 1]]
        from_global = ego.inverse
        return [self._box(int(row), from_global) for row in rows]

    def _box(self, number: int, from_global: Pose) -> Box:
        record = self._table.row(number)
        try:
            token = record["token"]
            # Built in the global frame first, which checks the rotation of the annotation.
            pose = from_global @ pose_in(record)
            width, length, height = numbers(record, "size", 3)
            if min(width, length, height) <= 0:
                raise DataError(f"expected a size above 0, got {record['size']}")
            instance = self._instances.number(record["instance_token"])
            category_token = self._instances.columns["category_token"][instance].decode()
            category = _look_up(self._categories, category_token, "category")
            attributes = [_look_up(self._attributes, key, "attribute") for key in record["attribute_tokens"]]
            velocity = from_global.rotate(self._velocity(number)[None])[0]
            visibility = record.get("visibility_token", "")
            level = VISIBILITY.get(_look_up(self._visibility, visibility, "visibility")) if visibility else 0
            if level is None:
                raise DataError(f"expected a visibility level of {', '.join(VISIBILITY)}")
            return Box(
                category=category,
                name=CATEGORIES.get(category, ""),
                centre=pose.translation,
                size=(width, length, height),
                rotation=pose.rotation,
                velocity=(float(velocity[0]), float(velocity[1])),
                visibility=level,
                radar_points=int(record["num_radar_pts"]),
                lidar_points=int(record["num_lidar_pts"]),
                attribute=attributes[0] if attributes else "",
                token=token,
            )
        except KeyError as error:
            raise DataError(f"{self._table.path}: record {record.get('token')!r}: no field {error}") from None
        except (DataError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{self._table.path}: record {record.get('token')!r}: {error}") from None

    def _velocity(self, number: int) -> np.ndarray:
        """Return the velocity (3,) in m/s, global frame, from the annotation before to the one after.

        A missing one is replaced by the annotation itself. NaN where both are missing or too far apart in time.
        """
        neighbours = []
        for name in ("prev", "next"):
            other = int(self._table.columns[name][number])
            if other < 0 and self._known_gap[name][number]:
                raise DataError(f"the annotation that {name!r} names is not in the table")
            neighbours.append(number if other < 0 else other)
        first, last = neighbours
        times = self._samples.columns["timestamp"][self._table.columns["sample_token"][[first, last]]]
        gap = int(times[1] - times[0])
        if not 0 < gap <= MAX_GAP * (2 if first != number and last != number else 1):
            return np.full(3, math.nan)
        places = [np.array(numbers(self._table.row(one), "translation", 3)) for one in (first, last)]
        return np.asarray((places[1] - places[0]) / (gap * 1e-6))


def _names(path: Path, field: str) -> dict[str, str]:
    try:
        return {record["token"]: str(record[field]) for record in Table(path).rows()}
    except KeyError as error:
        raise DataError(f"{path}: a record has no field {error}") from None


def _look_up(names: Mapping[str, str], token: str, kind: str) -> str:
    if token not in names:
        raise DataError(f"the {kind} token {token!r} is not in {kind}.json")
    return names[token]
