"""Figures of confusions between labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import BLUE, GREY, INK, LIGHT, ORANGE, heading, new_figure, shorten, styled

__all__ = ["MAX_CLASSES", "confusion_figure"]

MAX_CLASSES = 24
"""More classes than this are reduced to those with the most errors."""
_WITH_NUMBERS = 16


@styled()
def confusion_figure(confusion: Mapping[str, Any], title: str = "Confusion matrix") -> Figure:
    """Draw a result of `mmkeras.evaluation.classes.confusion`: a matrix, or hits, misses and false alarms per label."""
    if "per_label" in confusion:
        return _per_label(confusion["per_label"])
    labels = list(confusion["labels"])
    matrix = np.asarray(confusion["matrix"], np.int64)
    note = "Rows are true labels, columns predicted labels. Colour is the share of the row; "
    note += "blue is right, orange is wrong."
    if len(labels) > MAX_CLASSES:
        wrong = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diagonal()
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MAX_CLASSES])
        note += f" Shown are the {MAX_CLASSES} of {len(labels)} classes with the most errors."
        labels, matrix = [labels[i] for i in kept], matrix[np.ix_(kept, kept)]
    return _matrix(labels, matrix, title, f"{np.sum(confusion['matrix'])} samples. {note}")


def _matrix(labels: list[str], matrix: np.ndarray, title: str, note: str) -> Figure:
    size = len(labels)
    side = float(np.clip(1.8 + 0.38 * size, 4.2, 8.5))
    figure = new_figure(side + 0.8, side + 0.6)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    # The square root makes a single error among hundreds visible.
    norm = PowerNorm(0.5, 0, 1)
    diagonal = np.eye(size, dtype=bool)
    right = matplotlib.colormaps["Blues"](norm(shares) * 0.85)
    wrong = matplotlib.colormaps["Oranges"](norm(shares) * 0.85)
    colours = np.where(diagonal[..., None], right, wrong)
    colours[matrix == 0] = (1, 1, 1, 1)
    axes.imshow(colours)
    axes.set_xticks(range(size), [shorten(x, 18) for x in labels], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), [shorten(x, 18) for x in labels])
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=LIGHT, linewidth=0.6)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if size <= _WITH_NUMBERS:
        for row, column in np.argwhere(matrix > 0):
            dark = norm(shares[row, column]) > 0.62
            axes.text(
                column,
                row,
                f"{matrix[row, column]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else INK,
            )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    heading(figure, title, note)
    return figure


def _per_label(cells: Mapping[str, Mapping[str, int]]) -> Figure:
    rows = sorted(cells.items(), key=lambda item: -(item[1]["fp"] + item[1]["fn"]))[:MAX_CLASSES][::-1]
    figure = new_figure(6.2, 1.6 + 0.3 * len(rows))
    axes = figure.add_subplot()
    names = [shorten(name, 24) for name, _ in rows]
    left = np.zeros(len(rows))
    for cell, word, colour, hatch in (
        ("tp", "found", BLUE, ""),
        ("fn", "missed", ORANGE, "////"),
        ("fp", "false alarm", GREY, "...."),
    ):
        counts = np.asarray([entry[cell] for _, entry in rows])
        axes.barh(names, counts, left=left, color=colour, hatch=hatch, edgecolor="white", label=word)
        left += counts
    axes.set_xlabel("samples")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower right", ncols=3)
    note = "How often each label is found, missed, and predicted by mistake. Labels with the most errors first."
    if len(cells) > MAX_CLASSES:
        note += f" {MAX_CLASSES} of {len(cells)} labels."
    heading(figure, "Found, missed and false alarms", note)
    return figure
