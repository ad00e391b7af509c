"""What a fine-tuning was worth, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from export.fine_tuning.measure import Measured
from export.verification.scenarios import ALL
from mmkeras.core.console import Console
from mmkeras.core.rounding import percent

__all__ = ["REPORT_NAME", "Verdict", "print_table"]

REPORT_NAME = "fine_tuning.json"
"""In the folder of the fine-tuned run."""
_LOSS = 0.005
"""What float32 may lose of the metric, the same half point as an int8 file may."""


@dataclass(frozen=True)
class Verdict:
    """Two models, each in float32 and in int8, on the same validation samples."""

    metric: str
    """Name of the task's metric."""
    sign: int
    """1 where a higher metric is better, -1 where a lower one is."""
    before: Measured
    """The run that was fine-tuned."""
    after: Measured
    """What came of it."""
    error: float
    """Standard error of the int8 files' difference in the scenario ``all``."""

    @property
    def gain(self) -> float:
        """What int8 gained with everything there, as a share; positive is better."""
        return self.sign * (self.after.int8[ALL] - self.before.int8[ALL])

    @property
    def float_gain(self) -> float:
        """What float32 gained."""
        return self.sign * (self.after.float32[ALL] - self.before.float32[ALL])

    @property
    def by_chance(self) -> bool:
        """Whether other samples might as well have turned int8's change round."""
        return abs(self.gain) <= 2 * self.error

    @property
    def worth_it(self) -> bool:
        """Whether int8 gained more than chance explains, and float32 did not pay for it."""
        return self.gain > 0 and not self.by_chance and self.float_gain >= -_LOSS

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``fine_tuning.json``; metrics are shares by scenario."""
        return {
            "schema_version": 1,
            "metric": self.metric,
            "samples": self.after.samples,
            "int8_layers": self.after.layers,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "int8_gain": self.gain,
            "int8_gain_error": self.error,
            "float32_gain": self.float_gain,
            "worth_it": self.worth_it,
        }


def print_table(verdict: Verdict, console: Console) -> None:
    """Print the metric of both models in every scenario, and one sentence."""
    before, after = verdict.before, verdict.after
    table = Table(title=f"{verdict.metric}, % (int8 - float32)", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("scenario")
    for column in ("float32 before", "int8 before", "float32 after", "int8 after"):
        table.add_column(column, justify="right")
    for name in after.float32:
        cells = []
        for measured in (before, after):
            whole, now = measured.float32[name], measured.int8[name]
            cells += [percent(whole, 2), f"{percent(now, 2)} ({percent(now - whole, 2, signed=True)})"]
        table.add_row(name, *cells)
    console.print(table)
    int8, float32 = ("worse" if gain < 0 else "better" for gain in (verdict.gain, verdict.float_gain))
    console.print(
        f"int8 is {percent(abs(verdict.gain), 2)} points {int8} than before (standard error "
        f"{percent(verdict.error, 2)}, {after.samples} samples), float32 "
        f"{percent(abs(verdict.float_gain), 2)} {float32}.",
        highlight=False,
    )
    if verdict.worth_it:
        return
    why = "Chance can do as much: more --samples tell more. Until then s" if verdict.by_chance else "It did not help: s"
    console.print(f"{why}hip the run that it began with.", style="yellow")
