"""Adds the walk-forward evaluation and the returns to a run's metrics, report and output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mmkeras.core.errors import DataError
from mmkeras.core.typed import read_json
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.pictures import figure_to_png
from mmkeras.evaluation.report import write_report
from mmkeras.evaluation.words import number, span
from mmkeras.storage.files import write_bytes
from mmkeras.storage.privacy import redaction
from pipelines._finance.pictures import returns_figure, walk_figure, windows_figure
from pipelines._finance.trading import RULES, summary
from pipelines._finance.walk import Block, WalkConfig, scores, walk_forward
from pipelines._stages.contract import add_to_metrics

if TYPE_CHECKING:
    from mmkeras.core.console import Console
    from pipelines._stages.contract import Evaluated

__all__ = ["add_finance"]


def add_finance(done: Evaluated, walk: WalkConfig, costs: float) -> None:
    """Walk forward and write ``finance`` of metrics.json, three pictures, and remarks for the report."""
    settings = done.config.evaluate
    bootstrap = Bootstrap(settings.bootstrap, settings.confidence, done.config.train.seed)
    blocks = walk_forward(done, walk)
    each, whole = scores(done.run.task, blocks, bootstrap)
    returns, trades = _traded(blocks, costs)
    for entry, block in zip(each, blocks, strict=True):
        entry["returns"] = _traded([block], costs)[0]
    section = {"blocks": each, "all": whole, "returns": returns}
    metrics = read_json(done.run.folder / "metrics.json", DataError, "Evaluate the run again.")
    add_to_metrics(
        done.run.folder, {"finance": section, "remarks": [*metrics["remarks"], *_remarks(whole, returns, len(blocks))]}
    )
    figures = {"walk_forward": walk_figure(each, whole), "returns": returns_figure(trades, costs)}
    if not redaction().texts:
        figures["price_windows"] = windows_figure(blocks[-1])
    for name, figure in figures.items():
        write_bytes(done.run.folder / "pictures" / f"{name}.png", figure_to_png(figure))
    write_report(done.run.folder)
    _show(each, whole, returns, done.console)


def _traded(blocks: Sequence[Block], costs: float) -> tuple[dict[str, Any], Any]:
    days = [day for block in blocks for day in block.days]
    rises = np.concatenate([block.rise for block in blocks]) > 0.5
    moves = np.array([day.move for day in days])
    return summary([day.stock for day in days], [day.date for day in days], moves, rises, costs)


def _remarks(whole: Mapping[str, Any], returns: Mapping[str, Any], blocks: int) -> list[str]:
    mcc, rule = whole["mcc"], returns["long_flat"]
    shown = "above what guessing reaches" if (mcc["low"] or 0) > 0 else "not shown to be above what guessing reaches"
    return [
        f"Walk forward over {blocks} blocks, {whole['days']} days and {whole['samples']} labelled samples: MCC "
        f"{number('mcc', mcc['value'])} ({span('mcc', mcc)}), {shown}.",
        f"Long after the answer rise, else flat, on all {returns['days']} days: {100 * rule['after_costs']:+.1f} % "
        f"after costs of {returns['costs_bps']:g} basis points ({100 * rule['before_costs']:+.1f} % before); all "
        f"stocks held: {100 * returns['buy_and_hold']['after_costs']:+.1f} %. It is no trading advice.",
    ]


def _show(
    each: Sequence[Mapping[str, Any]], whole: Mapping[str, Any], returns: Mapping[str, Any], console: Console
) -> None:
    # Without lines, so that its figures fit into 80 columns.
    table = Table(title="Walk forward: each block answered by a model of the days before it", box=None)
    headings = ("MCC", "interval", "samples", "long/flat", "long/short", "held")
    table.add_column("from")
    for heading in headings:
        table.add_column(heading, justify="right")
    rows = [(entry["start"], entry, entry["returns"]) for entry in each]
    for name, entry, earned in (*rows, ("all", whole, returns)):
        totals = [f"{100 * earned[rule]['after_costs']:+.1f} %" for rule in (*RULES, "buy_and_hold")]
        mcc = entry["mcc"]
        ends = "–" if mcc["low"] is None else f"{mcc['low']:+.3f} to {mcc['high']:+.3f}"
        figures = (f"{mcc['value']:+.3f}", ends, str(entry["samples"]), *totals)
        table.add_row(name, *figures, style="bold" if name == "all" else "")
    console.print(table)
    excess = returns["long_flat"]["excess_bps"]
    console.print(
        f"after costs of {returns['costs_bps']:g} basis points; long/flat earns {excess['value']:+.1f} basis points a "
        f"day more than holding (interval {excess['low']:+.1f} to {excess['high']:+.1f})",
        highlight=False,
    )
