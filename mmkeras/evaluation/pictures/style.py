"""The common look of all figures, and figures as PNG or array."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "LIGHT",
    "ORANGE",
    "bare",
    "figure_to_array",
    "figure_to_png",
    "heading",
    "new_figure",
    "shorten",
    "styled",
]

# Okabe and Ito's palette: distinct with every common colour-vision deficiency.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, LIGHT = "#1F2933", "#6B7480", "#D9DEE4"
DPI = 160

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    # Questions and labels come from users: a dollar sign in them does not start a formula.
    "text.parse_math": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Give figures their common look: a context manager, and a decorator of functions that draw."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Text in a script that the font lacks is drawn as boxes, which is not an error.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure, given its size in inches, without pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, title: str, note: str = "") -> None:
    """Add a bold title and a grey explanation above a figure, both left-aligned."""
    text = figure.suptitle(title if not note else f"{title}\n", x=0.01, ha="left", fontsize=11, fontweight="bold")
    if note:
        wrapped = textwrap.fill(note, int(figure.get_figwidth() * 15.5))
        lines = wrapped.count("\n") + 1
        text.set_text(title + "\n" * lines)
        # The note hangs below the title's first line, in the space of the empty lines.
        figure.text(0.01, 0, wrapped, ha="left", va="top", fontsize=8.5, color=GREY).set_in_layout(False)
        figure.texts[-1].set_position((0.01, 1 - 0.27 / figure.get_figheight()))


def bare(axes: Axes) -> None:
    """Remove ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def shorten(text: str, width: int) -> str:
    """Return a text of at most ``width`` characters, with an ellipsis if it was cut."""
    text = " ".join(str(text).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


@styled()
def figure_to_png(figure: Figure) -> bytes:
    """Return the figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, metadata={"Software": None})
    return buffer.getvalue()


@styled()
def figure_to_array(figure: Figure) -> np.ndarray:
    """Return the figure as pixels, uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
