"""Masks drawn over their picture. Pillow and numpy only: it runs on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.media.canvas import Canvas
from mmkeras.media.image.pixels import read_rgb
from mmkeras.media.image.resizing import resize_rgb
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks.segmentation.masks import as_colour

__all__ = ["colours_of", "overlay", "picture_of"]

_PALETTE = (
    *("#56B4E9", "#8C510A", "#F0E442", "#7B3294", "#D55E00", "#009E73", "#E7298A", "#1A1A1A", "#0072B2", "#E41A1C"),
    *("#FFFFFF", "#1B9E77", "#66A61E", "#CC79A7", "#B2DF8A", "#FB9A99", "#6A3D9A", "#999999", "#33FFF3", "#FF7F00"),
)
_GREY = "#6B7480"
_ROW, _OPACITY = 20, 0.6


def colours_of(labels: Sequence[str], colours: Sequence[str] = ()) -> tuple[str, ...]:
    """Return ``#rrggbb`` of each label: those of the masks, or of a fixed palette."""
    return tuple(colours) or tuple(_PALETTE[number % len(_PALETTE)] for number in range(len(labels)))


def picture_of(
    specs: Mapping[str, ModalitySpec], values: Mapping[str, Any], size: tuple[int, int], resize: str
) -> np.ndarray | None:
    """Return a sample's picture, uint8 (height, width, 3), in the size and geometry of its mask; None without one.

    Args:
        specs: modality specs by name.
        values: raw values by modality.
        size: height and width of the mask.
        resize: how picture and mask are resized.
    """
    for name, spec in specs.items():
        if spec.kind == "image" and values.get(name) is not None:
            return resize_rgb(read_rgb(values[name]), *size, resize)
    return None


def overlay(
    picture: np.ndarray,
    mask: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str] = (),
    *,
    title: str = "",
    scale: int = 2,
    legend: bool = True,
) -> np.ndarray:
    """Draw a mask over its picture, with a legend of the classes that it has.

    Args:
        picture: uint8 (H, W, 3).
        mask: (H, W); the place of the label of each pixel; other numbers are left as they are.
        labels: names of the classes.
        colours: of the classes, see `colours_of`.
        title: a line above the picture; without it the result is less high.
        scale: pixels of the result for one of the picture.
        legend: whether there is a legend below.

    Returns:
        uint8 (height, width, 3); with the same options its size depends on the picture's size and on ``labels`` only.
    """
    names = colours_of(labels, colours)
    tinted = picture.astype(np.float64)
    for number, colour in enumerate(names):
        here = mask == number
        tinted[here] = (1 - _OPACITY) * tinted[here] + _OPACITY * np.array(as_colour(colour))
    height, width = picture.shape[0] * scale, picture.shape[1] * scale
    top = _ROW if title else 0
    rows = _legend_rows(labels, width) if legend else []
    frame = Canvas(width, top + height + _ROW * len(rows))
    frame.paste(tinted.round().astype(np.uint8), 0, top, width, height)
    if title:
        frame.text(6, top / 2, title)
    present = {int(value) for value in np.unique(mask)}
    for line, row in enumerate(rows):
        y = top + height + (line + 0.5) * _ROW
        for number, x in row:
            there = number in present
            colour = names[number] if there else "#FFFFFF"
            frame.polygon([(x, y - 6), (x + 12, y - 6), (x + 12, y + 6), (x, y + 6)], _GREY)
            frame.polygon([(x + 1, y - 5), (x + 11, y - 5), (x + 11, y + 5), (x + 1, y + 5)], colour)
            frame.text(x + 16, y, labels[number])
    return frame.array()


def _legend_rows(labels: Sequence[str], width: int) -> list[list[tuple[int, float]]]:
    """Return the places of the entries in each row: number of the label and column."""
    measure = Canvas(8, 8)
    rows: list[list[tuple[int, float]]] = [[]]
    x = 6.0
    for number, label in enumerate(labels):
        needed = 16 + measure.text_width(label) + 12
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 6.0
        rows[-1].append((number, x))
        x += needed
    return rows
