"""What tells a picture from noise: neighbouring pixels are alike, and colours change together."""

from __future__ import annotations

import numpy as np

from export.calibration.checks import Check

__all__ = ["check_pictures", "colour_axis", "contrast", "neighbour_correlation"]

FLAT = 1.0
"""Standard deviation, in levels of 255, below which a picture shows nothing."""
KEPT = (0.3, 0.1)
"""Share of the way from noise to the training pictures' median that a picture's likeness and axis have to reach."""
KEPT_MIDDLE = 0.3
"""And that the median of the pictures has to reach: noise that is only soft comes near it picture by picture."""
ODD_SHARE = 0.1
"""Share of the pictures that may be odd: a covered lens, a scanned empty page."""


def check_pictures(name: str, pictures: np.ndarray, training: np.ndarray) -> list[Check]:
    """Compare pictures with those of the training split.

    Args:
        name: of the tensor.
        pictures: (N, ..., height, width, channels), any scale.
        training: the same of training samples.
    """
    scale = max(float(np.abs(training).max()), 1e-9) / 255
    (shown, flat), (known, usual_flat) = (_measure(each, FLAT * scale) for each in (pictures, training))
    checks = [Check(name, "share of pictures in one plain colour", flat, usual_flat, most=usual_flat + ODD_SHARE)]
    if not len(shown) or not len(known):
        return checks
    channels = pictures.shape[-1]
    for column, (what, noise) in enumerate(
        (("likeness of neighbouring pixels", 0.0), ("share of the colours' variation on one axis", 1 / channels))
    ):
        # A picture of one channel has one axis, and so has noise.
        if noise == 1:
            continue
        usual, got = float(np.median(known[:, column])), float(np.median(shown[:, column]))
        limit, least = (noise + share * (usual - noise) for share in (KEPT[column], KEPT_MIDDLE))
        checks.append(Check(name, f"{what}, in the middle", got, usual, least=least))
        odd, usual_odd = (float((each[:, column] < limit).mean()) for each in (shown, known))
        line = f"share of pictures whose {what} is below {limit:.2f}"
        checks.append(Check(name, line, odd, usual_odd, most=usual_odd + ODD_SHARE))
    return checks


def contrast(picture: np.ndarray) -> float:
    """Return the standard deviation of the channel (height, width, channels) that varies most."""
    return float(picture.std(axis=(0, 1)).max())


def neighbour_correlation(picture: np.ndarray) -> float:
    """Return the correlation of a pixel with the next one to the right and below: near 1 if smooth, 0 for noise."""
    grey = picture.mean(axis=-1)
    grey = grey - grey.mean()
    variance = max(float((grey**2).mean()), 1e-12)
    right, below = (grey[:, 1:] * grey[:, :-1]).mean(), (grey[1:] * grey[:-1]).mean()
    return float((right + below) / 2 / variance)


def colour_axis(picture: np.ndarray) -> float:
    """Return the share of the channels' variance that lies along one direction: 1 / channels for noise."""
    flat = picture.reshape(-1, picture.shape[-1])
    flat = flat - flat.mean(axis=0)
    powers = np.linalg.eigvalsh(flat.T @ flat)
    return float(powers[-1] / max(float(powers.sum()), 1e-12))


def _measure(pictures: np.ndarray, flat: float) -> tuple[np.ndarray, float]:
    """Return likeness and axis (n, 2) of the pictures that show something, and the share of those that do not.

    Frames of a clip stand below each other. One picture at a time: 400 large ones are 1 GB as numbers.
    """
    found = []
    for each in pictures:
        picture = each.reshape(-1, *each.shape[-2:]).astype(np.float32)
        if contrast(picture) >= flat:
            found.append((neighbour_correlation(picture), colour_axis(picture)))
    return np.asarray(found).reshape(-1, 2), 1 - len(found) / len(pictures)
