"""One export from beginning to end: convert, verify, judge, describe, publish."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from export.bundles import build_folder, next_version, publish, with_file, write_description
from export.formats import Format, Job, plan
from export.gates import device_tolerance, gates_of, judge
from export.model_card import write_card
from export.onnx_from_keras import FORMAT as ONNX
from export.results import FileResult, Report
from export.runners import open_saved_model, opened
from export.saved_model_from_keras import FORMAT as SAVED_MODEL
from export.saved_model_from_keras import RAW_ENDPOINT
from export.source import Source, load_source, source_from_run
from export.table import print_report
from export.tensorrt_notes import engine_notes
from export.verify import Reference
from mmkeras.config import ExportConfig
from mmkeras.errors import ConfigError
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
        What was written and how it behaves; ``accepted`` is False when a file missed its gate.

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
    targets = plan(config.formats, config.precisions)
    if len(source.samples) < ENOUGH:
        console.print(f"[yellow]Verified on {len(source.samples)} test samples; {ENOUGH} or more say more.")
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    root = Path(config.folder)
    with build_folder(root, source.name) as folder, progress:
        bar = progress.add_task("Keras reference", total=None)
        reference = Reference(source, lambda name: progress.update(bar, description=f"Keras, {name}"))
        progress.update(bar, total=len(targets), description="export")
        work = folder / ".work"
        work.mkdir()
        job = Job(source, work)
        results = []
        for format, precision in targets:
            label = f"{format.name} {precision}"
            progress.update(bar, description=f"{label}: converting")
            results.append(_one(job, format, precision, folder, reference, progress, label))
            progress.advance(bar)
        shutil.rmtree(work)
        version = next_version(folder.parent)
        report = Report(
            folder.parent / str(version), source.name, version, source.task.metric, reference.metrics, tuple(results)
        )
        write_description(folder, source, version, results, reference)
        report.write(folder)
        write_card(folder)
        publish(folder, version)
    print_report(report, console)
    return report


def _one(
    job: Job,
    format: Format,
    precision: str,
    folder: Path,
    reference: Reference,
    progress: Progress,
    label: str,
) -> FileResult:
    """Convert, verify and judge one file. Whatever goes wrong in it stays with this file."""
    result = FileResult(format.name, precision)
    name = f"{job.source.name}.{precision}{format.suffix}" if format.suffix else format.name
    aside = job.work / name
    try:
        format.convert(job, precision, aside)
    except Exception as error:  # a converter may raise anything, and the other formats must go on
        return dataclasses.replace(result, reason=_reason("conversion failed", error))
    cases = list(reference.cases)
    bar = progress.add_task(f"{label}: verifying", total=len(cases))
    scenarios = {}
    reason = ""
    try:
        with opened(format.name, aside) as file:
            for case in cases:
                scenarios[case.scenario.name] = reference.measure(case, file.infer, file.size)
                progress.advance(bar)
            if file.batched:
                scenarios["batched"] = reference.measure(cases[0], file.infer)
        if format.name == SAVED_MODEL.name:
            raw = open_saved_model(aside, RAW_ENDPOINT)
            for case in reference.raw_cases():
                scenarios[case.scenario.name] = reference.measure(case, raw)
    except Exception as error:  # a file that does not run is rejected like one that answers wrongly
        reason = _reason("does not run", error)
    finally:
        progress.remove_task(bar)
    task = job.source.task
    verdict = judge(precision, format.tolerance, scenarios, task.metric, task.metric_sign, gates_of(task))
    reason = "; ".join(part for part in (reason, "" if reason else verdict) if part)
    result = dataclasses.replace(
        result,
        scenarios=scenarios,
        accepted=not reason,
        reason=reason,
        tolerance=device_tolerance(precision, format.tolerance, scenarios),
    )
    path = _place(aside, folder, name, accepted=result.accepted)
    if result.accepted and format.name == ONNX.name:
        inputs = [tensor for spec in job.source.specs.values() for tensor in (*spec.tensors, spec.present)]
        result = dataclasses.replace(result, engine=engine_notes(folder / path, path, precision, inputs))
    return with_file(result, folder, path)


def _place(aside: Path, folder: Path, name: str, *, accepted: bool) -> str:
    """Move a verified file to where it belongs in the build and return its path there."""
    if not accepted:
        path = f"rejected/{name}"
    elif aside.is_dir():
        for part in aside.iterdir():
            part.rename(folder / part.name)
        return "."
    else:
        path = f"edge/{name}"
    (folder / path).parent.mkdir(exist_ok=True)
    aside.rename(folder / path)
    return path


def _reason(what: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{what}: {type(error).__name__}: {lines[0]}"[:500]


def _check(config: ExportConfig) -> None:
    if config.samples < 1:
        raise ConfigError(f"samples: expected at least 1 to verify on, got {config.samples}")
    plan(config.formats, config.precisions)
