"""One export from beginning to end: convert, verify, judge, describe, publish."""

from __future__ import annotations

import dataclasses
import shutil
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from export.attempt import Tried, attempt, place
from export.bundles import build_folder, next_version, publish, write_description
from export.card.model_card import write_card
from export.formats import Format, Job, plan
from export.source import Source, load_source, source_from_run
from export.verification.gates import RULES, gates_of
from export.verification.held import hold_to_evaluation
from export.verification.proof.proof import prove
from export.verification.results import Report
from export.verification.table import print_report
from export.verification.verify import Reference
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console, DescriptionColumn
from mmkeras.core.errors import ConfigError
from mmkeras.data.coverage import coverage, warnings
from mmkeras.training.run import Run

__all__ = ["export_run", "export_source"]

ENOUGH = 500
"""Samples below which a verification says little; fewer are used with a warning."""


def export_run(run: Run | Path, config: ExportConfig | None = None, *, console: Console | None = None) -> Report:
    """Export a run, or a bundle anew, and verify every file.

    Args:
        run: an open run, the folder of one, or a bundle's folder.
        config: formats, precisions, samples and where to.
        console: where progress and the table go.

    Returns:
        What was written and how it behaves; ``accepted`` is False when a file missed its gate, or with a ladder when
        every rung did.

    Raises:
        ConfigError: an unknown format or precision, or too few samples asked for.
        ExportError: the model itself cannot be exported. A single failing format does not raise.
        MmkerasError: the run, bundle or data cannot be used.
    """
    config = config or ExportConfig()
    _check(config)
    source = source_from_run(run, config.samples) if isinstance(run, Run) else load_source(run, config.samples)
    return export_source(source, config, console=console)


def export_source(source: Source, config: ExportConfig, *, console: Console | None = None) -> Report:
    """Export a model that is in memory. See `export_run`."""
    _check(config)
    console = console or Console()
    targets = _targets(config)
    # Before the work begins: a budget out of range.
    gates = gates_of(source.task, config.max_metric_drop, config.max_flips)
    if len(source.samples) < ENOUGH:
        console.print(f"Verified on {len(source.samples)} test samples; {ENOUGH} or more say more.", style="yellow")
    shares = coverage(source.specs, (sample.values for sample in source.samples))
    for line in warnings(shares, "the verification samples"):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    progress = Progress(DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    root = Path(config.folder)
    with build_folder(root, source.name) as folder, progress:
        bar = progress.add_task("Keras reference", total=None)
        reference = Reference(source, lambda name: progress.update(bar, description=f"Keras, {name}"))
        hold_to_evaluation(source, reference)
        progress.update(bar, total=sum(len(precisions) for _, precisions in targets), description="export")
        work = folder / ".work"
        work.mkdir()
        job = Job(source, work, config)
        tried: list[Tried] = []
        for format, precisions in targets:
            for rung, precision in enumerate(precisions, 1):
                label = f"{format.name} {precision}"
                progress.update(bar, description=f"{label}: converting")
                job.step = partial(_show, progress, bar, label)
                tried.append(attempt(job, format, precision, reference, progress, rung=rung if config.ladder else 0))
                progress.advance(bar)
                if config.ladder and tried[-1].result.accepted:
                    progress.advance(bar, len(precisions) - rung)
                    break
        proof = prove(source, reference, tried, lambda line: progress.update(bar, description=line))
        results = [place(each, folder, source) for each in proof.tried]
        shutil.rmtree(work)
        version = next_version(folder.parent)
        calibration = job.calibration_used
        report = Report(
            folder=folder.parent / str(version),
            name=source.name,
            version=version,
            metric=source.task.metric,
            reference=reference.metrics,
            files=tuple(results),
            budget={
                "max_metric_drop": config.max_metric_drop,
                "max_flips": config.max_flips,
                "ladder": config.ladder,
            },
            calibration=calibration.to_json() if calibration else {},
            gates={**{name: dataclasses.asdict(gate) for name, gate in gates.items()}, "rules": RULES},
            faults=proof.faults,
            coverage=shares,
        )
        write_description(folder, source, version, results, proof, report.calibration)
        report.write(folder)
        write_card(folder)
        publish(folder, version)
    print_report(report, console)
    return report


def _show(progress: Progress, bar: TaskID, label: str, line: str) -> None:
    progress.update(bar, description=f"{label}: {line}")


def _targets(config: ExportConfig) -> list[tuple[Format, list[str]]]:
    """Return what to write; a ladder from the command line or a configuration without precisions has all its rungs."""
    every = config.precisions == ExportConfig().precisions
    return plan(config.formats, () if config.ladder and every else config.precisions, ladder=config.ladder)


def _check(config: ExportConfig) -> None:
    if config.samples < 1:
        raise ConfigError(f"samples: expected at least 1 to verify on, got {config.samples}")
    if config.calibration_samples < 1:
        raise ConfigError(f"calibration_samples: expected at least 1, got {config.calibration_samples}")
    _targets(config)
