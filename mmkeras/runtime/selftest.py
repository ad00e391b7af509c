"""Replays the golden samples on every accepted edge file, and proves the host-side preprocessing. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle, ExportedFile, Golden
from mmkeras.core.errors import DataError, DependencyError, MmkerasError
from mmkeras.modalities import ModalitySpec
from mmkeras.runtime.predictor import candidates, open_runner
from mmkeras.runtime.replay import compare_answers, input_difference, replay
from mmkeras.runtime.runner import runners
from mmkeras.runtime.tensorrt.engines import EngineFile

__all__ = ["FileCheck", "PreprocessingCheck", "SelfTest", "selftest"]


@dataclass(frozen=True)
class FileCheck:
    """One exported file against the golden outputs."""

    format: str
    precision: str
    path: str
    """Relative to the bundle."""
    verdict: str
    """``passed``, ``failed``, ``skipped`` (not run here) or ``rejected`` (by its export)."""
    reason: str = ""
    """Why it is not ``passed``."""
    samples: int = 0
    """Golden samples run."""
    max_abs_diff: float | None = None
    """Difference to the golden outputs nearest to its limit, or furthest beyond it."""
    tolerance: float | None = None
    """The limit there."""
    flips: int = 0
    """Samples on which the decision differs from the Keras model's."""
    scenarios: dict[str, float] = field(default_factory=dict)
    """Largest difference per modality scenario, as a share of its limit; without values that are not finite."""
    failed_scenarios: tuple[str, ...] = ()
    """Scenarios with a difference beyond the limit, a changed decision, or values that are not finite."""


@dataclass(frozen=True)
class PreprocessingCheck:
    """One modality's host-side preprocessing against the golden inputs."""

    modality: str
    verdict: str
    """``passed``, ``failed`` or ``skipped``."""
    reason: str = ""
    """Why it is not ``passed``."""
    samples: int = 0
    """Raw samples that were preprocessed."""
    max_abs_diff: float | None = None
    """Largest difference to the golden model inputs."""


@dataclass(frozen=True)
class SelfTest:
    """Everything that a self-test found."""

    files: tuple[FileCheck, ...]
    preprocessing: tuple[PreprocessingCheck, ...]
    scenarios: dict[str, str]
    """By modality scenario: ``passed`` or ``failed`` over all files, ``skipped`` where no file ran, ``not covered``
    where the model has the scenario and the golden samples do not."""
    answers: PreprocessingCheck = PreprocessingCheck("answers", "skipped", "not looked at")
    """The task's answers to the golden outputs against those of the export."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed and a file was run, with everything there and with each modality missing."""
        verdicts = [file.verdict for file in self.files] + [check.verdict for check in self.preprocessing]
        verdicts.append(self.answers.verdict)
        uncovered = [name for name, verdict in self.scenarios.items() if verdict == "not covered" and _required(name)]
        return "failed" not in verdicts and not uncovered and any(file.verdict == "passed" for file in self.files)

    @property
    def skipped(self) -> tuple[str, ...]:
        """What could not be proven here: accepted edge files, preprocessing and scenarios."""
        engines = runners()
        files = [file.path for file in self.files if file.verdict == "skipped" and file.format in engines]
        checks = [f"preprocessing of {check.modality}" for check in self.preprocessing if check.verdict == "skipped"]
        checks += ["answers"] if self.answers.verdict == "skipped" else []
        return (*files, *checks, *(name for name, verdict in self.scenarios.items() if verdict == "not covered"))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"passed": self.passed, "skipped": list(self.skipped), **dataclasses.asdict(self)}


def selftest(bundle: Bundle, *, threads: int = 1, progress: Callable[[str], None] = lambda what: None) -> SelfTest:
    """Run every golden sample through every accepted edge file whose engine is installed.

    A file passes when all outputs are finite, each is within the file's tolerance of the float32 Keras model's in its
    scenario, and every decision is the Keras model's, except those that differed at export. ``progress`` is called with
    the path of each file.

    Raises:
        BundleError: the golden samples are missing or altered.
    """
    golden = bundle.golden()
    preprocessing = tuple(_check_preprocessing(bundle, golden))
    files = []
    for file in candidates(bundle):
        progress(file.path)
        files.append(_check_file(bundle, golden, file, threads))
    return SelfTest(tuple(files), preprocessing, _scenarios(bundle, golden, files), _check_answers(bundle, golden))


def _scenarios(bundle: Bundle, golden: Golden, files: list[FileCheck]) -> dict[str, str]:
    """Return the verdict on every scenario of the golden samples and of the model."""
    cases = [f"{case}_{name}" for name, spec in bundle.specs.items() for case in spec.scenarios()]
    absent = [f"without_{name}" for name in bundle.specs] if len(bundle.specs) > 1 else []
    expected = ["all", *absent, *cases]
    run = [file for file in files if file.samples]
    found = {}
    for scenario in dict.fromkeys([*expected, *golden.scenarios]):
        if scenario not in golden.scenarios:
            found[scenario] = "not covered"
        elif any(scenario in file.failed_scenarios for file in run):
            found[scenario] = "failed"
        else:
            found[scenario] = "passed" if run else "skipped"
    return found


def _required(scenario: str) -> bool:
    # A modality's own cases may be newer than the bundle; every export has run these two kinds.
    return scenario == "all" or scenario.startswith("without_")


def _check_file(bundle: Bundle, golden: Golden, file: ExportedFile, threads: int) -> FileCheck:
    check = FileCheck(file.format, file.precision, file.path, "skipped")
    engine = runners().get(file.format)
    if not file.accepted:
        return dataclasses.replace(check, verdict="rejected", reason=file.reason)
    if engine is None:
        return dataclasses.replace(check, reason=f"{file.format} is not run on a device")
    if not isinstance(file, EngineFile) and not bundle.holds(file):
        return dataclasses.replace(check, reason="left out when the bundle was packed")
    if not engine.available():
        return dataclasses.replace(check, reason=engine.missing())
    try:
        with open_runner(bundle, file, threads=threads) as runner:
            names = [tensor.name for tensor in runner.inputs]
            # One by one, as a device does; a batch may take other kernels.
            parts = [runner.infer({name: golden.inputs[name][i : i + 1] for name in names}) for i in range(len(golden))]
    except MmkerasError as error:
        return dataclasses.replace(check, verdict="failed", reason=str(error))
    outputs = {t.name: np.concatenate([p[t.name] for p in parts]) for t in bundle.task.outputs}
    found = replay(bundle.task, golden, outputs, file.tolerances, file.flipped)
    return dataclasses.replace(
        check,
        verdict="failed" if found.reason else "passed",
        reason=found.reason,
        samples=len(golden),
        max_abs_diff=found.difference if np.isfinite(found.difference) else None,
        tolerance=found.tolerance,
        flips=len(found.flipped),
        scenarios={name: share for name, share in found.shares.items() if np.isfinite(share)},
        failed_scenarios=found.failed,
    )


def _check_answers(bundle: Bundle, golden: Golden) -> PreprocessingCheck:
    check = PreprocessingCheck("answers", "skipped", "the bundle was written without them")
    kept = bundle.golden_answers()
    if kept is None:
        return check
    try:
        reason = compare_answers(bundle.task, golden, kept)
    except MmkerasError as error:
        reason = str(error)
    return dataclasses.replace(check, verdict="failed" if reason else "passed", reason=reason, samples=len(golden))


def _check_preprocessing(bundle: Bundle, golden: Golden) -> list[PreprocessingCheck]:
    raw = bundle.golden_raw()
    rows = [row for row in range(len(golden)) if golden.raw[row] >= 0]
    checks = []
    for name, spec in bundle.specs.items():
        worst, samples, reason, missing = 0.0, 0, _check_absent(spec, golden), ""
        for row in rows:
            value = raw[golden.raw[row]].get(name)
            if value is None:
                continue
            samples += 1
            try:
                tensors = spec.inputs(value)
            except DependencyError as error:
                missing = str(error)
                break
            except DataError as error:
                reason = f"{golden.keys[row]}: {error}"
                break
            for tensor in (*spec.tensors, spec.present):
                expected, got = golden.inputs[tensor.name][row], np.asarray(tensors[tensor.name])
                diff, limit = input_difference(expected, got)
                if not diff <= limit and not reason:
                    reason = f"{golden.keys[row]}: {tensor.name} differs by {diff:.3g}, allowed {limit:g}"
                worst = max(worst, diff)
        if missing or not samples:
            reason = missing or "the bundle has no raw golden inputs of it"
            checks.append(PreprocessingCheck(name, "skipped", reason))
            continue
        verdict = "failed" if reason else "passed"
        checks.append(PreprocessingCheck(name, verdict, reason, samples, worst if np.isfinite(worst) else None))
    return checks


def _check_absent(spec: ModalitySpec, golden: Golden) -> str:
    """Return how the host's tensors of a missing modality differ from those of the export; empty where they do not."""
    rows = [row for row, scenario in enumerate(golden.scenarios) if scenario == f"without_{spec.name}"]
    given = spec.inputs(None)
    for row in rows:
        for tensor in (*spec.tensors, spec.present):
            diff, limit = input_difference(golden.inputs[tensor.name][row], np.asarray(given[tensor.name]))
            if not diff <= limit:
                return f"{golden.keys[row]}: {tensor.name} of a missing {spec.name} differs by {diff:.3g}"
    return ""
