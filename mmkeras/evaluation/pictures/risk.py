"""The risk-coverage curve of a model that withholds unsure answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mmkeras.core.rounding import percent
from mmkeras.evaluation.pictures.style import BLUE, GREY, INK, LIGHT, ORANGE, heading, new_figure, styled

__all__ = ["risk_figure"]


@styled()
def risk_figure(found: Mapping[str, Any]) -> Figure:
    """Draw the share of wrong answers over the share of answered samples, from `mmkeras.evaluation.selective`."""
    figure = new_figure(5.6, 4.2)
    axes = figure.subplots()
    curve = found["curve"]
    axes.step(
        [100 * each for each in curve["coverage"]],
        [100 * each for each in curve["risk"]],
        where="post",
        color=BLUE,
        label="test samples, the surest first",
    )
    axes.axhline(100 * found["most_risk"], color=GREY, linestyle="--", linewidth=1, label="accepted share")
    if found["risk"] is not None:
        axes.plot(
            100 * found["coverage"], 100 * found["risk"], "o", color=ORANGE, label="chosen on the validation split"
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("answered samples (%)", color=INK)
    axes.set_ylabel("wrong answers among them (%)", color=INK)
    axes.grid(color=LIGHT, linewidth=0.6)
    axes.legend(loc="upper left")
    heading(
        figure,
        f"Withheld answers: {percent(found['risk_of_all'])} % wrong if all are answered",
        "A model that knows when it is unsure has a low curve on the left. Below the chosen confidence no answer is "
        "given.",
    )
    return figure
