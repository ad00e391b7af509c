"""Figures of attention over the image."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from mmkeras.core.errors import DataError
from mmkeras.core.rounding import percent
from mmkeras.evaluation.pictures.style import GREY, bare, heading, new_figure, styled

__all__ = ["attention_figure", "attention_heat"]

_HEADS = 8


def attention_heat(
    scores: np.ndarray, grid: tuple[int, int], size: tuple[int, int], query: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the attention of one query token over the picture.

    Args:
        scores: (heads, query tokens, image tokens), image tokens row by row; tokens after the first ``h * w`` (a null
            token) are left out.
        grid: image tokens as (h, w).
        size: height and width of the picture in pixels.
        query: the query token; 0 is ``[CLS]``.

    Returns:
        Mean over the heads, float (H, W), interpolated to the size of the picture; and every head, (heads, h, w).

    Raises:
        DataError: the scores have another number of axes, or too few tokens for the grid.
    """
    if scores.ndim != 3 or scores.shape[2] < grid[0] * grid[1] or query >= scores.shape[1]:
        raise DataError(
            f"Expected attention (heads, query tokens > {query}, image tokens >= {grid[0]} x {grid[1]}), "
            f"got shape {scores.shape}. Pass the grid of the level that the image branch reads."
        )
    heads = scores[:, query, : grid[0] * grid[1]].reshape(-1, *grid).astype(np.float64)
    mean = heads.mean(0)
    rows, columns = (np.clip((np.arange(n) + 0.5) * g / n - 0.5, 0, g - 1) for n, g in zip(size, grid, strict=True))
    wide = np.stack([np.interp(columns, np.arange(grid[1]), row) for row in mean])
    return np.stack([np.interp(rows, np.arange(grid[0]), column) for column in wide.T], axis=1), heads


@styled()
def attention_figure(
    image: np.ndarray,
    scores: np.ndarray,
    grid: tuple[int, int],
    *,
    question: str = "",
    note: str = "",
) -> Figure:
    """Draw the picture, the attention of the first query token over it (mean of the heads), and up to eight heads.

    Args:
        image: uint8 (H, W, 3).
        scores: (heads, query tokens, image tokens), see `attention_heat`.
        grid: image tokens as (h, w).
        question: the text that queries the picture; the title.
        note: further explanation, for example the answer.

    Raises:
        DataError: the scores do not fit the grid.
    """
    heat, heads = attention_heat(scores, grid, image.shape[:2])
    shown = heads[:_HEADS]
    each = (len(shown) > 1) + (len(shown) > 4)
    figure = new_figure(6.0, 3.6 + 1.75 * each)
    layout = figure.add_gridspec(1 + each, 8, height_ratios=[2.0] + [1.1] * each)
    left, right = figure.add_subplot(layout[0, :4]), figure.add_subplot(layout[0, 4:])
    for axes in (left, right):
        axes.imshow(image, interpolation="nearest")
        bare(axes)
    left.set_title("input picture")
    grey = np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    right.imshow(grey, interpolation="nearest", alpha=0.75)
    total = heads.sum((1, 2)).mean()
    drawn = right.imshow(heat, cmap="inferno", alpha=0.62, vmin=0, vmax=float(heat.max()) or 1.0)
    right.set_title("attention (mean of heads)")
    bar = figure.colorbar(drawn, ax=right, fraction=0.05, pad=0.02)
    bar.set_label("attention per token", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if each:
        for position, head in enumerate(shown):
            across = 2 if len(shown) <= 4 or each == 2 else 1
            row, column = divmod(position, 4)
            axes = figure.add_subplot(layout[1 + row, across * column : across * (column + 1)])
            axes.imshow(head, cmap="inferno", vmin=0)
            bare(axes)
            axes.set_title(f"head {position + 1}", fontsize=8, color=GREY)
    words = f"{note} " if note else ""
    words += f"{percent(total, 0)} % of the attention is on the picture's {grid[0]} x {grid[1]} tokens"
    words += "; each head has its own scale." if each else "."
    heading(figure, "\n".join(textwrap.wrap(question, 60)[:1]) or "Attention over the image", words)
    return figure
