"""A fine-tuning from beginning to end: measure, tune, evaluate, measure again, say what it was worth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from export.fine_tuning.measure import Measured, change_error, measure
from export.fine_tuning.table import REPORT_NAME, Verdict, print_table
from export.quantization.trial import tuning_samples
from export.source import Source, source_from_run
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

__all__ = ["tune"]


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
    """Fine-tune a run and measure what its int8 file gained.

    Args:
        folder: the run, or with ``resume`` the fine-tuned run that was stopped.
        options: fields of `FineTuning` besides ``parent``.
        resume: go on.
        out: folder of the new run.
        samples: validation samples to measure and choose on.
        calibration_samples: training samples to measure the ranges of activations on.
        console: where progress and the table go.

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

    def measured(source: Source, title: str) -> Measured:
        with console.status(title) as status:
            return measure(
                source,
                tuning.format,
                tuning.keep,
                calibration_samples,
                lambda step: status.update(f"{title}: {step}"),
            )

    def chosen_on(run: Run) -> Source:
        # Which of two models ships is a choice, and test samples are for the proof of what was chosen.
        source = source_from_run(run, samples)
        return dataclasses.replace(source, samples=tuning_samples(source, samples)[0])

    console.rule(Text("Before", style="bold"), align="left")
    source = chosen_on(parent)
    before = measured(source, "before")
    notice = source.provenance.get("notice")
    console.print(_line(parent.task.metric, before), highlight=False)
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
    console.rule(Text("After", style="bold"), align="left")
    source = chosen_on(run)
    after = measured(source, "after")
    console.print(_line(run.task.metric, after), highlight=False)
    verdict = Verdict(run.task.metric, run.task.metric_sign, before, after, change_error(source, before, after))
    write_json(run.folder / REPORT_NAME, {**verdict.to_json(), "format": tuning.format, "parent": tuning.parent})
    print_table(verdict, console)
    shown = os.path.relpath(run.folder if verdict.worth_it else parent.folder)
    console.print(f"Next: python -m export {shown} --precisions int8", markup=False, highlight=False, soft_wrap=True)
    return 0 if verdict.worth_it else 1


def _evaluate(run: Run, notice: str | None, console: Console) -> None:
    """Evaluate the float model as every run is evaluated: metrics.json and the report, with the parent's notice."""
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


def _line(metric: str, measured: Measured) -> str:
    """Return the scores with everything there in one line."""
    whole, int8 = measured.whole
    return (
        f"{metric} {percent(whole, 2)} % in float32, {percent(int8, 2)} % with {measured.layers} layers in int8, on "
        f"{measured.samples} validation samples"
    )
