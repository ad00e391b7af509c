"""Builds one bundle of an export in a temporary folder: convert, verify and judge every file, then describe them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from export.attempt import Tried, attempt, place
from export.bundles import write_description
from export.card.model_card import write_card
from export.formats import Format, Job
from export.source import Source
from export.verification.gates import RULES, gates_of
from export.verification.held import hold_to_evaluation
from export.verification.proof.proof import Proof, prove
from export.verification.report import FileResult, Report
from export.verification.verify import Reference
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console, DescriptionColumn

__all__ = ["Built", "build"]


@dataclass(frozen=True)
class Built:
    """The files of a bundle in a temporary folder, still without a version and a description."""

    folder: Path
    source: Source
    config: ExportConfig
    reference: Mapping[str, float]
    """The Keras model's metric by scenario."""
    files: tuple[FileResult, ...]
    """Every file that was tried."""
    proof: Proof
    calibration: dict[str, Any]
    """What static int8 measured its ranges on; empty where no file needed it."""
    coverage: dict[str, dict[str, float]]
    """From `mmkeras.data.coverage.coverage`."""

    def report(self, version: int, submodels: tuple[Report, ...] = ()) -> Report:
        """Return the report of the bundle with a version, and with the reports of the model's submodels."""
        source, config = self.source, self.config
        gates = gates_of(source.task, config.max_metric_drop, config.max_flips)
        return Report(
            folder=self.folder.parent / str(version),
            name=source.name,
            version=version,
            metric=source.task.metric,
            reference=dict(self.reference),
            files=self.files,
            budget={
                "max_metric_drop": config.max_metric_drop,
                "max_flips": config.max_flips,
                "ladder": config.ladder,
            },
            calibration=self.calibration,
            gates={**{name: dataclasses.asdict(gate) for name, gate in gates.items()}, "rules": RULES},
            faults=self.proof.faults,
            coverage=self.coverage,
            submodels=submodels,
        )

    def describe(self, report: Report) -> None:
        """Write everything but the files themselves into the build."""
        write_description(self.folder, self.source, report.version, list(self.files), self.proof, self.calibration)
        report.write(self.folder)
        write_card(self.folder)


def build(
    folder: Path,
    source: Source,
    config: ExportConfig,
    targets: list[tuple[Format, list[str]]],
    coverage: dict[str, dict[str, float]],
    console: Console,
) -> Built:
    """Convert, verify and judge every file of a bundle, and choose and prove its golden samples.

    The files go to the empty ``folder`` in the bundle's layout. ``targets`` are tried in order, and ``coverage`` is for
    the report.

    Raises:
        ExportError: the model itself cannot be exported. A single failing format does not raise.
    """
    progress = Progress(DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    with progress:
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
        files = tuple(place(each, folder, source) for each in proof.tried)
        shutil.rmtree(work)
    calibration = job.calibration_used
    used = calibration.to_json() if calibration else {}
    return Built(folder, source, config, reference.metrics, files, proof, used, coverage)


def _show(progress: Progress, bar: TaskID, label: str, line: str) -> None:
    progress.update(bar, description=f"{label}: {line}")
