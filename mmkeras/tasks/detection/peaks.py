"""Boxes from dense maps: the peaks of the heatmap and the values of the other maps there. numpy only.

Source: Zhou et al., Objects as Points (CenterNet), 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmkeras.media.geometry import PinholeCamera
from mmkeras.tasks.detection.boxes import Boxes, to_ego_plane
from mmkeras.tasks.detection.classes import attributes_by_speed

__all__ = ["MAPS", "boxes_at_peaks", "finite_cells", "find_peaks"]

MAPS = {"box": 4, "offset": 2, "depth": 1, "size": 3, "yaw": 2, "velocity": 2}
"""The maps beside the heatmap, with their channels."""
_SMALLEST = 0.01
"""Least depth and size (m) of a detection, because metrics divide by them."""
_CHUNK = 64
_NEIGHBOURS = tuple((down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1))


def finite_cells(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return bool (B, h, w): all maps are finite in a cell."""
    cells = np.isfinite(outputs["heatmap"]).all(axis=-1)
    for name in MAPS:
        cells &= np.isfinite(outputs[name]).all(axis=-1)
    return np.asarray(cells)


def find_peaks(
    heatmap: np.ndarray, maps: Mapping[str, np.ndarray], threshold: float, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells whose score is at least that of their eight neighbours, per class, best first.

    Only cells above the threshold are compared, since a neighbour with a higher score is above it too. Cells in which a
    map is not finite are ignored, also as neighbours.

    Args:
        heatmap: (B, h, w, C) in [0, 1].
        maps: the other maps (B, h, w, ...).
        threshold: least score; a score of 0 is never a peak.
        count: most peaks of a sample, all classes together.

    Returns:
        Sample, cell (row * w + column), class and score, each (N,), in the order of the samples.
    """
    batch, height, width, classes = heatmap.shape
    sample, row, column, label = np.nonzero((heatmap >= threshold) & (heatmap > 0))
    usable = np.isfinite(heatmap[sample, row, column]).all(axis=-1)
    for each in maps.values():
        usable &= np.isfinite(each[sample, row, column]).all(axis=-1)
    sample, row, column, label = sample[usable], row[usable], column[usable], label[usable]
    score = heatmap[sample, row, column, label]
    around = np.zeros((batch, height + 2, width + 2, classes), heatmap.dtype)
    around[sample, row + 1, column + 1, label] = score
    peak = np.ones(len(score), bool)
    for down, right in _NEIGHBOURS:
        peak &= score >= around[sample, row + down, column + right, label]
    sample, cell, label, score = sample[peak], (row * width + column)[peak], label[peak], score[peak]
    order = np.lexsort((label, cell, -score, sample))
    sample, cell, label, score = sample[order], cell[order], label[order], score[order]
    rank = np.arange(len(sample)) - np.searchsorted(sample, sample)
    best = rank < count
    return sample[best], cell[best], label[best], score[best]


def boxes_at_peaks(
    outputs: Mapping[str, np.ndarray],
    labels: Sequence[str],
    camera: PinholeCamera,
    stride: int,
    rotation: np.ndarray,
    translation: np.ndarray,
    threshold: float,
    count: int,
) -> Boxes:
    """Return the detections of a batch in the ego frame, in the order of the samples and best first, see `find_peaks`.

    Args:
        outputs: maps (B, h, w, ...) as `mmkeras.tasks.detection.spec.Spec.outputs` describes them.
        labels: the classes.
        camera: the model's camera.
        stride: pixels per cell.
        rotation: (B, 3, 3), camera -> ego.
        translation: (B, 3), camera -> ego.
        threshold: least score.
        count: most detections of a sample.
    """
    size = len(outputs["heatmap"])
    parts = []
    for start in range(0, max(size, 1), _CHUNK):
        rows = slice(start, start + _CHUNK)
        part = {name: np.asarray(outputs[name][rows]) for name in ("heatmap", *MAPS)}
        sample, cell, label, score = find_peaks(part["heatmap"], {name: part[name] for name in MAPS}, threshold, count)
        height, width = part["heatmap"].shape[1:3]
        at = {
            name: part[name].reshape(-1, height * width, MAPS[name])[sample, cell].astype(np.float64) for name in MAPS
        }
        middle = (np.stack([cell % width, cell // width], axis=1) + 0.5) * stride
        depth = np.maximum(at["depth"][:, 0], _SMALLEST)
        seen = camera.unproject(middle + at["offset"] * stride, depth)
        turn = rotation[rows][sample]
        # The map holds the angle to the viewing ray, because that determines how an object looks.
        angle = np.arctan2(at["yaw"][:, 0], at["yaw"][:, 1]) + np.arctan2(seen[:, 0], seen[:, 2])
        heading = to_ego_plane(np.stack([np.sin(angle), np.cos(angle)], axis=1), turn)
        velocity = to_ego_plane(at["velocity"], turn)
        reach = np.concatenate([middle - at["box"][:, :2], middle + at["box"][:, 2:]], axis=1)
        found = Boxes(
            sample=sample + start,
            label=label,
            score=score.astype(np.float64),
            centre=np.einsum("nij,nj->ni", turn, seen) + translation[rows][sample],
            size=np.maximum(at["size"], _SMALLEST),
            yaw=np.arctan2(heading[:, 1], heading[:, 0]),
            velocity=velocity,
            attribute=attributes_by_speed(labels, label, velocity),
            points=np.full(len(label), -1),
            box=np.clip(reach, 0.0, np.array([camera.width, camera.height] * 2)),
        )
        parts.append(found)
    return Boxes.joined(parts)
