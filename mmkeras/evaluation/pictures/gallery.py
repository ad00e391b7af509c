"""A figure of samples that the task itself draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import GREY, bare, heading, new_figure, shorten, styled

__all__ = ["Scene", "gallery_figure"]

_WIDTH = 7.0


@dataclass(frozen=True)
class Scene:
    """One sample to show."""

    pictures: tuple[np.ndarray, ...]
    """uint8 (H, W, 3), one or more."""
    caption: str
    """A line above them."""


@styled()
def gallery_figure(scenes: Sequence[Scene], title: str) -> Figure:
    """Draw at least one sample, one below the other, as wide as the page."""
    rows = [
        (picture, scene.caption if place == 0 else "")
        for scene in scenes
        for place, picture in enumerate(scene.pictures)
    ]
    heights = [picture.shape[0] / picture.shape[1] + 0.035 for picture, _ in rows]
    figure = new_figure(_WIDTH, _WIDTH * sum(heights) + 0.45)
    grid = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (picture, caption) in zip(grid, rows, strict=True):
        bare(axes)
        axes.imshow(picture, interpolation="antialiased")
        if caption:
            axes.set_title(shorten(caption, 110), fontsize=8, color=GREY, pad=3)
    heading(figure, title)
    return figure
