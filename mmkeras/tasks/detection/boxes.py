"""Many 3D boxes as arrays, and horizontal vectors in the camera's and the ego frame. numpy only, float64.

`mmkeras.media.geometry` describes both frames. A heading or a velocity is horizontal in the ego frame. In the camera's
frame only its components along x (right) and z (forward) are kept, from which it can be computed unless the camera
looks straight up or down.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.media.geometry import BOX_EDGES, PinholeCamera
from mmkeras.tasks.detection.classes import ATTRIBUTES

__all__ = ["Boxes", "pixel_boxes", "to_camera_plane", "to_ego_plane"]

NEAR = 0.2
"""Depth (m) of the plane in front of the camera at which boxes are cut before they are projected."""
_EDGES = np.array(BOX_EDGES)
_ANSWERED = ("score", "box", "centre", "size", "yaw", "velocity", "distance")


@dataclass(frozen=True)
class Boxes:
    """N boxes of one or many samples, objects or detections, in the ego frame of their sample."""

    sample: np.ndarray
    """int (N,): position of the sample that a box belongs to."""
    label: np.ndarray
    """int (N,): position of its class in the task's labels."""
    score: np.ndarray
    """float (N,): confidence; 1 for objects."""
    centre: np.ndarray
    """float (N, 3): x, y, z in m."""
    size: np.ndarray
    """float (N, 3): width, length, height in m."""
    yaw: np.ndarray
    """float (N,): heading around z in rad; 0 looks along x."""
    velocity: np.ndarray
    """float (N, 2): along x and y of the ego frame, over ground, in m/s; NaN if unknown."""
    attribute: np.ndarray
    """int (N,): position in `mmkeras.tasks.detection.classes.ATTRIBUTES`; 0 for no attribute."""
    points: np.ndarray
    """int (N,): radar and lidar points inside; -1 if unknown, as for detections."""
    box: np.ndarray
    """float (N, 4): left, top, right, bottom in pixels of the model's image."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def distance(self) -> np.ndarray:
        """Horizontal distance (N,) of the centre from the origin of the ego frame, in m."""
        return np.asarray(np.sqrt(self.centre[:, 0] ** 2 + self.centre[:, 1] ** 2))

    def take(self, rows: np.ndarray) -> Boxes:
        """Return some of the boxes: by positions or a mask (N,)."""
        return Boxes(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})

    def by_sample(self, samples: int) -> list[Boxes]:
        """Return the boxes of each sample, given the number of samples; the boxes are in the order of the samples."""
        ends = np.searchsorted(self.sample, np.arange(samples + 1))
        return [self.take(np.arange(ends[i], ends[i + 1])) for i in range(samples)]

    @classmethod
    def joined(cls, parts: Iterable[Boxes]) -> Boxes:
        """Return the boxes of at least one group, one group after the other."""
        every = list(parts)
        return cls(
            **{f.name: np.concatenate([getattr(part, f.name) for part in every]) for f in dataclasses.fields(cls)}
        )

    def answers(self, labels: Sequence[str], samples: int) -> list[dict[str, Any]]:
        """Return ``{"detections": [...]}`` for each sample, JSON-ready; `Spec.decode` describes a detection.

        Args:
            labels: the classes.
            samples: number of samples, including those without a box.
        """
        result: list[dict[str, Any]] = [{"detections": []} for _ in range(samples)]
        columns = zip(*(getattr(self, name).tolist() for name in _ANSWERED), strict=True)
        indices = zip(self.sample.tolist(), self.label.tolist(), self.attribute.tolist(), strict=True)
        for (sample, label, attribute), values in zip(indices, columns, strict=True):
            numbers = dict(zip(_ANSWERED, values, strict=True))
            result[sample]["detections"].append({"class": labels[label], **numbers, "attribute": ATTRIBUTES[attribute]})
        return result


def _plane(rotation: np.ndarray) -> np.ndarray:
    """Return the map (..., 2, 2) from horizontal ego vectors to the x and z components in the camera's frame."""
    return np.swapaxes(rotation[..., :2, :][..., [0, 2]], -1, -2)


def to_camera_plane(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return the x and z components in the camera's frame of horizontal vectors of the ego frame.

    Args:
        vectors: (N, 2) along x (forward) and y (left) of the ego frame.
        rotation: (3, 3) or (N, 3, 3), camera -> ego.

    Returns:
        (N, 2) along x (right) and z (forward) of the camera's frame.
    """
    return np.asarray(np.einsum("...ij,...j->...i", _plane(rotation), vectors))


def to_ego_plane(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return the horizontal vectors of the ego frame (N, 2); the inverse of `to_camera_plane`."""
    plane = _plane(rotation)
    a, b, c, d = plane[..., 0, 0], plane[..., 0, 1], plane[..., 1, 0], plane[..., 1, 1]
    determinant = a * d - b * c
    x, y = vectors[..., 0], vectors[..., 1]
    return np.asarray(np.stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant], axis=-1))


def pixel_boxes(corners: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """Return the bounding rectangles (N, 4) of boxes in an image: left, top, right, bottom in pixels.

    A box that extends behind the camera is cut at a plane just in front of it. Rectangles are cut at the image's edge;
    a box outside the image has a rectangle without area.

    Args:
        corners: (N, 8, 3) in the camera's frame, in the order of `mmkeras.media.geometry.box_corners`.
        camera: the model's camera.
    """
    first, second = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    before, after = first[..., 2] - NEAR, second[..., 2] - NEAR
    crosses = before * after < 0
    share = np.where(crosses, before / np.where(crosses, before - after, 1.0), 0.0)
    cuts = first + share[..., None] * (second - first)
    points = np.concatenate([corners, cuts], axis=1)
    visible = np.concatenate([corners[..., 2] >= NEAR, crosses], axis=1)[..., None]
    depth = np.maximum(points[..., 2:], NEAR)
    pixels = points[..., :2] / depth * camera.focal + np.array([camera.centre_x, camera.centre_y])
    limit = np.array([camera.width, camera.height], np.float64)
    low = np.min(np.where(visible, pixels, np.inf), axis=1, initial=np.inf)
    high = np.max(np.where(visible, pixels, -np.inf), axis=1, initial=-np.inf)
    low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    return np.concatenate([low, np.maximum(low, high)], axis=1)
