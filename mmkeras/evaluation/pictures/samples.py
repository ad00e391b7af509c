"""A figure of samples with answers and truths."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    bare,
    heading,
    new_figure,
    shorten,
    styled,
)

__all__ = ["Card", "samples_figure"]

_WIDTH = 1.95
_CHARACTERS = 24
_COLUMNS = 3


@dataclass(frozen=True)
class Card:
    """One sample to show."""

    images: tuple[np.ndarray, ...]
    """Pictures of its modalities, uint8 (H, W, 3)."""
    captions: tuple[str, ...]
    """Its modalities in words."""
    truth: str
    prediction: str
    """The model's answer, with its confidence if it has one."""
    right: bool | None
    """Whether answer and truth agree; ``None`` if answers are not right or wrong."""


@styled()
def samples_figure(cards: Sequence[Card], title: str) -> Figure:
    """Draw at least one sample in a grid of cards; right and wrong differ in colour and in word."""
    columns = min(_COLUMNS, len(cards))
    rows = -(-len(cards) // columns)
    with_images = any(card.images for card in cards)
    with_text = any(card.captions for card in cards)
    height = (1.75 if with_images else 0.25) + (0.5 if with_text else 0.1) + 0.55
    # At least two cards wide, so that the title fits.
    figure = new_figure(max(_WIDTH * columns, 2 * _WIDTH) + 0.2, height * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        bare(axes)
    for axes, card in zip(grid.ravel(), cards, strict=False):
        colour = GREY if card.right is None else BLUE if card.right else ORANGE
        if card.images:
            axes.imshow(_side_by_side(card.images), interpolation="nearest")
            for spine in axes.spines.values():
                spine.set_visible(True)
                spine.set_color(colour)
                spine.set_linewidth(2)
        elif with_images:
            axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=GREY, transform=axes.transAxes)
        caption = textwrap.wrap(" · ".join(card.captions), _CHARACTERS) or [""]
        if len(caption) > 2:
            caption = [caption[0], shorten(" ".join(caption[1:]), _CHARACTERS)]
        if with_text:
            axes.set_title("\n".join(caption), fontsize=8.5, color=INK, loc="left", pad=4)
        mark = "" if card.right is None else "✓ right: " if card.right else "✗ wrong: "
        said = shorten(mark + card.prediction, _CHARACTERS + 2)
        truth = shorten("true: " + card.truth, _CHARACTERS + 2)
        axes.set_xlabel(f"{said}\n{truth}", fontsize=8.5, color=INK if card.right is None else colour, loc="left")
    heading(figure, title)
    return figure


def _side_by_side(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures as one of the first one's height, with light seams."""
    if len(images) == 1:
        return images[0]
    height = images[0].shape[0]
    seam = np.full((height, max(1, height // 40), 3), [int(LIGHT[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    parts: list[np.ndarray] = []
    for image in images:
        rows = np.arange(height) * image.shape[0] // height
        columns = np.arange(max(1, image.shape[1] * height // image.shape[0])) * image.shape[0] // height
        parts += [image[rows][:, np.minimum(columns, image.shape[1] - 1)], seam]
    return np.concatenate(parts[:-1], axis=1)
