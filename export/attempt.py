"""One file of an export: convert it, run it in every scenario, judge it, and move it to its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from export.formats import Format, Job
from export.source import Source
from export.to_onnx.onnx_from_keras import FORMAT as ONNX
from export.to_saved_model.endpoints import RAW_ENDPOINT, SAVED_MODEL
from export.to_tensorrt.notes import engine_notes
from export.verification.constants.compare import constants_problem
from export.verification.content import content_problem
from export.verification.gates import Gate, gates_of
from export.verification.judge import judge
from export.verification.report import FileResult
from export.verification.results import ScenarioResult
from export.verification.runners import open_saved_model, opened
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError
from mmkeras.storage.disk import explain
from mmkeras.storage.hashes import digest, size

__all__ = ["Tried", "attempt", "place"]


@dataclass(frozen=True)
class Tried:
    """A requested file after its conversion and verification."""

    format: Format
    """Its converter."""
    result: FileResult
    """Its measurements, and whether it may ship."""
    path: Path | None = None
    """Its path in the work folder; None where the conversion failed."""


def attempt(
    job: Job,
    format: Format,
    precision: str,
    reference: Reference,
    progress: Progress,
    *,
    rung: int = 0,
) -> Tried:
    """Convert, verify and judge one file. A failure rejects this file alone; only a full disk ends the export.

    A rung of a ladder, numbered from 1, is first tried on tuning samples; one beyond its limits there is not verified.

    Raises:
        ExportError: the disk is full or cannot be written.
    """
    result = FileResult(format.name, precision, rung=rung)
    name = f"{job.source.name}.{precision}{format.suffix}" if format.suffix else format.name
    aside = job.work / name
    try:
        result = dataclasses.replace(result, costs=format.convert(job, precision, aside))
    except Exception as error:  # a converter may raise anything, and the other formats must go on
        if said := explain(error, aside):  # a full disk is not the format's fault
            raise ExportError(said) from error
        return Tried(format, dataclasses.replace(result, reason=_reason("conversion failed", error)))
    task = job.source.task
    gates = gates_of(task, job.config.max_metric_drop, job.config.max_flips)
    if rung and precision != "float32" and (reason := _on_tuning_samples(job, format, precision, gates, aside)):
        return Tried(format, dataclasses.replace(result, reason=reason), aside)
    bar = progress.add_task(f"{format.name} {precision}: verifying", total=len(reference.cases))
    scenarios: dict[str, ScenarioResult] = {}
    failure = ""
    try:
        _verify(format, aside, reference, scenarios, lambda: progress.advance(bar))
        failure = content_problem(aside, format.name, precision)
        # The float32 file itself is compared with Keras by its outputs.
        if not failure and precision != "float32" and format.float32 and format.constants:
            failure = constants_problem(format.constants(aside), format.constants(format.float32(job)))
    except Exception as error:  # a file that does not run is rejected like one with wrong outputs
        failure = _reason("does not run", error)
    finally:
        progress.remove_task(bar)
    reason = failure or judge(precision, format.tolerance, scenarios, task.metric, task.metric_sign, gates)
    return Tried(format, dataclasses.replace(result, scenarios=scenarios, accepted=not reason, reason=reason), aside)


def _on_tuning_samples(job: Job, format: Format, precision: str, gates: Mapping[str, Gate], aside: Path) -> str:
    """Return why a rung is not chosen; empty if it is."""
    from export.quantization.trial import Trial

    reference, split = job.tuning
    job.step(f"trying it on {len(reference.keys)} {split} samples")
    trial = Trial(reference, split, format.name, precision, gates)
    try:
        problems = trial.problems(trial.measure(aside))
    except Exception as error:  # a file that does not run is rejected like one with wrong outputs
        return _reason("does not run", error)
    return f"on {len(reference.keys)} {split} samples: {problems}" if problems else ""


def _verify(
    format: Format,
    aside: Path,
    reference: Reference,
    scenarios: dict[str, ScenarioResult],
    advance: Callable[[], None],
) -> None:
    """Run a file in every scenario; ``scenarios`` keeps the results from before a failure."""
    with opened(format.name, aside) as file:
        for case in reference.cases:
            scenarios[case.scenario.name] = reference.measure(case, file.infer, file.size)
            advance()
        if file.batched:
            scenarios["batched"] = reference.measure(reference.cases[0], file.infer)
    if format.name == SAVED_MODEL:
        raw = open_saved_model(aside, RAW_ENDPOINT)
        for case in reference.raw_cases():
            scenarios[case.scenario.name] = reference.measure(case, raw)


def place(tried: Tried, folder: Path, source: Source) -> FileResult:
    """Move a judged file to its place in the build, and return its result with path, size, hash and engine notes.

    A rejected file goes to ``rejected/``, an accepted SavedModel into the build folder itself, any other file to
    ``edge/``.
    """
    result, aside = tried.result, tried.path
    if aside is None:
        return result
    if not result.accepted:
        path = f"rejected/{aside.name}"
    elif aside.is_dir():
        for part in aside.iterdir():
            part.rename(folder / part.name)
        path = "."
    else:
        path = f"edge/{aside.name}"
    if path != ".":
        (folder / path).parent.mkdir(exist_ok=True)
        aside.rename(folder / path)
    if result.accepted and tried.format.name == ONNX.name:
        inputs = [tensor for spec in source.specs.values() for tensor in (*spec.tensors, spec.present)]
        result = dataclasses.replace(result, engine=engine_notes(folder / path, path, result.precision, inputs))
    return dataclasses.replace(result, path=path, bytes=size(folder, path), sha256=digest(folder, path))


def _reason(what: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{what}: {type(error).__name__}: {lines[0]}"[:500]
