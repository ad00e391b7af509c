"""Runs a fine-tuning: measure, tune, evaluate, measure again, and report the gain."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from export.fine_tuning.measure import Measured, measure
from export.quantization.trial import tuning_samples
from export.source import Source, source_from_run
from export.verification.scenarios import ALL
from export.verification.standard_error import metric_error
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.rounding import percent
from mmkeras.storage.files import write_json
from mmkeras.training.interrupts import Interrupted
from mmkeras.training.quantization_aware.fine_tune import (
    FineTuning,
    create_run,
    fine_tune,
    open_parent,
    read_fine_tuning,
)
from mmkeras.training.run import Run

__all__ = ["REPORT_NAME", "Verdict", "print_table", "tune"]

REPORT_NAME = "fine_tuning.json"
_LOSS = 0.005
"""Allowed loss of float32 in the metric: half a point, as for an int8 file."""


def tune(
    folder: Path,
    options: Mapping[str, Any],
    *,
    resume: bool,
    out: Path | None,
    samples: int,
    calibration_samples: int,
    console: Console | None = None,
) -> int:
    """Fine-tune a run and measure the gain of its int8 file.

    With ``resume``, the folder is that of the stopped fine-tuned run. ``options`` are fields of `FineTuning` besides
    ``parent``; both models are measured on ``samples`` validation samples.

    Returns:
        Exit status: 0 when it was worth it, 1 when it was not, 130 when it was stopped.

    Raises:
        MmkerasError: a run, its data or an option cannot be used.
    """
    console = console or Console()
    if resume:
        run = Run.open(folder)
        parent = open_parent(run)
    else:
        parent = Run.open(folder)
        tuning = FineTuning(parent=os.path.relpath(parent.folder), **options)
        run = create_run(parent, out or _beside(parent.folder), tuning)
        console.print(f"New run: {os.path.relpath(run.folder)}", markup=False, highlight=False, soft_wrap=True)
    tuning = read_fine_tuning(run)

    def measured(run: Run, title: str) -> tuple[Source, Measured]:
        console.rule(Text(title, style="bold"), align="left")
        source = source_from_run(run, samples)
        # The result chooses between two models; test samples are kept to verify the chosen one.
        source = dataclasses.replace(source, samples=tuning_samples(source, samples)[0])
        title = title.lower()
        with console.status(title) as status:
            found = measure(
                source, tuning.format, tuning.keep, calibration_samples, lambda step: status.update(f"{title}: {step}")
            )
        whole, int8 = (percent(scores[ALL], 2) for scores in (found.float32, found.int8))
        console.print(
            f"{run.task.metric} {whole} % in float32, {int8} % with {found.layers} layers in int8, on {found.samples} "
            "validation samples",
            highlight=False,
        )
        return source, found

    source, before = measured(parent, "Before")
    notice = source.provenance.get("notice")
    console.rule(Text("Fine-tuning", style="bold"), align="left")
    try:
        fitted = fine_tune(run, console=console, resume=resume)
    except Interrupted as stop:
        command = f"python -m export fine-tune {os.path.relpath(run.folder)} --resume"
        console.print(Text.assemble(f"{stop} Go on with: ", (command, "bold")), soft_wrap=True)
        return 130
    console.print(f"best round: {fitted.best_epoch}")
    console.rule(Text("Evaluation", style="bold"), align="left")
    _evaluate(run, notice, console)
    source, after = measured(run, "After")
    # Of the difference between the two int8 files, not between a file and Keras.
    error = metric_error(source.task, after.weights, after.groups, before.evidence, after.evidence)
    verdict = Verdict(run.task.metric, run.task.metric_sign, before, after, error)
    write_json(run.folder / REPORT_NAME, {**verdict.to_json(), "format": tuning.format, "parent": tuning.parent})
    print_table(verdict, console)
    shown = os.path.relpath(run.folder if verdict.worth_it else parent.folder)
    console.print(f"Next: python -m export {shown} --precisions int8", markup=False, highlight=False, soft_wrap=True)
    return 0 if verdict.worth_it else 1


def _evaluate(run: Run, notice: str | None, console: Console) -> None:
    """Evaluate the float model like any run: write metrics.json and the report, with the parent's notice."""
    from mmkeras.evaluation import evaluate, read
    from mmkeras.training.quantization_aware.configuration import read_config

    config = read_config(run)
    samples = read(run.index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
    evaluate(
        run.model(),
        samples,
        run.specs,
        run.task,
        config.evaluate,
        run.folder,
        provenance={**run.provenance, **({"notice": notice} if notice else {})},
        seed=config.train.seed,
        console=console,
    )


def _beside(parent: Path) -> Path:
    """Return a free folder beside a run's."""
    for attempt in range(1, 100):
        folder = parent.with_name(f"{parent.name}-int8" if attempt == 1 else f"{parent.name}-int8-{attempt}")
        if not folder.exists():
            return folder
    raise ConfigError(f"{parent.parent}: holds 99 fine-tuned runs of {parent.name}; give a folder with --out")


@dataclass(frozen=True)
class Verdict:
    """Two models, each in float32 and in int8, on the same validation samples."""

    metric: str
    sign: int
    """1 where a higher metric is better, -1 where a lower one is."""
    before: Measured
    after: Measured
    error: float
    """Standard error of the int8 files' difference in the scenario ``all``."""

    @property
    def gain(self) -> float:
        """Gain of int8 in the scenario ``all``, as a share; positive is better."""
        return self.sign * (self.after.int8[ALL] - self.before.int8[ALL])

    @property
    def float_gain(self) -> float:
        """Gain of float32 in the scenario ``all``."""
        return self.sign * (self.after.float32[ALL] - self.before.float32[ALL])

    @property
    def by_chance(self) -> bool:
        """Whether int8's change is within twice its standard error."""
        return abs(self.gain) <= 2 * self.error

    @property
    def worth_it(self) -> bool:
        """Whether int8 gained more than chance explains, and float32 lost no more than allowed."""
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
    """Print the metric of both models in every scenario, the gain, and a recommendation."""
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
    if not verdict.worth_it:
        why = "Chance explains the change; more --samples narrow it" if verdict.by_chance else "It did not help"
        console.print(f"{why}: ship the parent run.", style="yellow")
