"""One file of an export: converted, run in every scenario, judged, and at the end put where it belongs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from export.formats import Format, Job
from export.source import Source
from export.to_onnx.onnx_from_keras import FORMAT as ONNX
from export.to_saved_model.endpoints import RAW_ENDPOINT, SAVED_MODEL
from export.to_tensorrt.notes import engine_notes
from export.verification.constants.compare import constants_problem
from export.verification.content import content_problem
from export.verification.gates import gates_of
from export.verification.judge import judge
from export.verification.results import FileResult, ScenarioResult
from export.verification.runners import open_saved_model, opened
from export.verification.verify import Reference
from mmkeras.bundle.manifest import exported_file
from mmkeras.core.errors import ExportError
from mmkeras.storage.disk import explain

__all__ = ["Tried", "attempt", "place"]


@dataclass(frozen=True)
class Tried:
    """A file that was asked for."""

    format: Format
    """Its converter."""
    result: FileResult
    """What was measured, and whether it may ship."""
    path: Path | None = None
    """Where it lies until it is placed; None where the conversion failed."""

    @property
    def label(self) -> str:
        """Name of it on the progress bar."""
        return f"{self.format.name} {self.result.precision}"


@dataclass(frozen=True)
class _Attempt:
    """What is tried."""

    job: Job
    format: Format
    precision: str
    reference: Reference
    progress: Progress

    @property
    def label(self) -> str:
        """Name of it on the progress bar."""
        return f"{self.format.name} {self.precision}"


def attempt(
    job: Job,
    format: Format,
    precision: str,
    reference: Reference,
    progress: Progress,
    *,
    rung: int = 0,
) -> Tried:
    """Convert, verify and judge one file. Whatever goes wrong in it stays with this file.

    A rung of a ladder is chosen on the samples of a search: one that does not hold its limits there is not verified.

    Args:
        job: what is exported.
        format: its converter.
        precision: one of the format's.
        reference: the Keras model on the test samples.
        progress: where bars are shown.
        rung: place on the ladder of the format, 0 without one.
    """
    this = _Attempt(job, format, precision, reference, progress)
    result = FileResult(format.name, precision, rung=rung)
    name = f"{job.source.name}.{precision}{format.suffix}" if format.suffix else format.name
    aside = job.work / name
    try:
        result = dataclasses.replace(result, costs=format.convert(job, precision, aside))
    except Exception as error:  # a converter may raise anything, and the other formats must go on
        if said := explain(error, aside):  # a full disk is no fault of the format
            raise ExportError(said) from error
        return Tried(format, dataclasses.replace(result, reason=_reason("conversion failed", error)))
    if rung and precision != "float32" and (reason := _on_tuning_samples(this, aside)):
        return Tried(format, dataclasses.replace(result, reason=reason), aside)
    bar = progress.add_task(f"{this.label}: verifying", total=len(reference.cases))
    scenarios: dict[str, ScenarioResult] = {}
    failure = ""
    try:
        _verify(this, aside, scenarios, bar)
        failure = content_problem(aside, format.name, precision) or _constants_problem(this, aside)
    except Exception as error:  # a file that does not run is rejected like one that answers wrongly
        failure = _reason("does not run", error)
    finally:
        progress.remove_task(bar)
    task = job.source.task
    gates = gates_of(task, job.config.max_metric_drop, job.config.max_flips)
    reason = failure or judge(precision, format.tolerance, scenarios, task.metric, task.metric_sign, gates)
    return Tried(format, dataclasses.replace(result, scenarios=scenarios, accepted=not reason, reason=reason), aside)


def _constants_problem(this: _Attempt, aside: Path) -> str:
    """Return how the constants differ from the float32 file's, which itself is held to Keras by its outputs."""
    format = this.format
    if this.precision == "float32" or format.float32 is None or format.constants is None:
        return ""
    return constants_problem(format.constants(aside), format.constants(format.float32(this.job)))


def _on_tuning_samples(this: _Attempt, aside: Path) -> str:
    """Return why a rung is not chosen; empty if it is."""
    from export.quantization.trial import Trial

    job = this.job
    reference, split = job.tuning
    job.step(f"trying it on {len(reference.keys)} {split} samples")
    gates = gates_of(job.source.task, job.config.max_metric_drop, job.config.max_flips)
    trial = Trial(reference, split, this.format.name, this.precision, gates)
    try:
        problems = trial.problems(trial.measure(aside))
    except Exception as error:  # a file that does not run is rejected like one that answers wrongly
        return _reason("does not run", error)
    return f"on {len(reference.keys)} {split} samples: {problems}" if problems else ""


def _verify(this: _Attempt, aside: Path, scenarios: dict[str, ScenarioResult], bar: TaskID) -> None:
    """Run a file in every scenario; what was measured before a failure stays."""
    reference = this.reference
    with opened(this.format.name, aside) as file:
        for case in reference.cases:
            scenarios[case.scenario.name] = reference.measure(case, file.infer, file.size)
            this.progress.advance(bar)
        if file.batched:
            scenarios["batched"] = reference.measure(reference.cases[0], file.infer)
    if this.format.name == SAVED_MODEL:
        raw = open_saved_model(aside, RAW_ENDPOINT)
        for case in reference.raw_cases():
            scenarios[case.scenario.name] = reference.measure(case, raw)


def place(tried: Tried, folder: Path, source: Source) -> FileResult:
    """Move a judged file to where it belongs in the build and describe it.

    Args:
        tried: the file.
        folder: the build; an accepted file goes to ``edge/``, a SavedModel beside it, any other file to ``rejected/``.
        source: what is exported.
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
    described = exported_file(
        folder, path, format=result.format, precision=result.precision, tolerances={}, accepted=False
    )
    return dataclasses.replace(result, path=path, bytes=described.bytes, sha256=described.sha256)


def _reason(what: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{what}: {type(error).__name__}: {lines[0]}"[:500]
