"""Runs the golden samples on every accepted edge file, and checks the preprocessing and the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle, ExportedFile, Golden
from mmkeras.core.errors import DataError, DependencyError, MmkerasError
from mmkeras.modalities import ModalitySpec
from mmkeras.runtime.predictor import candidates, open_runner, why_not_run
from mmkeras.runtime.replay import compare_answers, input_difference, replay
from mmkeras.runtime.runner import runners

__all__ = ["FileCheck", "PreprocessingCheck", "SelfTest", "selftest"]


@dataclass(frozen=True)
class FileCheck:
    """Result of one exported file, compared with the golden outputs."""

    format: str
    precision: str
    path: str
    """Relative to the bundle."""
    verdict: str
    """``passed``, ``failed``, ``skipped`` (not run on this machine) or ``rejected`` (by the export)."""
    reason: str = ""
    """Why it is not ``passed``."""
    samples: int = 0
    """Golden samples run."""
    max_abs_diff: float | None = None
    """The difference to the golden outputs with the largest share of its limit."""
    tolerance: float | None = None
    """The limit of this difference."""
    flips: int = 0
    """Samples whose decision differs from the Keras model's."""
    scenarios: dict[str, float] = field(default_factory=dict)
    """Largest difference per modality scenario, as a share of its limit; scenarios without a finite one are omitted."""
    failed_scenarios: tuple[str, ...] = ()
    """Scenarios with a difference above its limit, a changed decision, or values that are not finite."""


@dataclass(frozen=True)
class PreprocessingCheck:
    """Result of one modality's preprocessing on this host, compared with the golden inputs."""

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
    """All results of a self-test."""

    files: tuple[FileCheck, ...]
    preprocessing: tuple[PreprocessingCheck, ...]
    scenarios: dict[str, str]
    """By modality scenario: ``passed`` or ``failed`` over all files, ``skipped`` if no file ran, ``not covered`` if
    the model has the scenario but the golden samples do not."""
    answers: PreprocessingCheck
    """The task's answers to the golden outputs, compared with those of the export."""

    @property
    def passed(self) -> bool:
        """Whether no check failed and a file passed, with all modalities and without each of them."""
        verdicts = [file.verdict for file in self.files]
        verdicts += [check.verdict for check in (*self.preprocessing, self.answers)]
        # A modality's own scenarios may be newer than the bundle; every export has run these two kinds.
        required = (v for name, v in self.scenarios.items() if name == "all" or name.startswith("without_"))
        ran = any(file.verdict == "passed" for file in self.files)
        return "failed" not in verdicts and "not covered" not in required and ran

    @property
    def skipped(self) -> tuple[str, ...]:
        """Accepted edge files, preprocessing and scenarios that could not be checked on this machine."""
        engines = runners()
        files = [file.path for file in self.files if file.verdict == "skipped" and file.format in engines]
        checks = [f"preprocessing of {check.modality}" for check in self.preprocessing if check.verdict == "skipped"]
        checks += ["answers"] if self.answers.verdict == "skipped" else []
        return (*files, *checks, *(name for name, verdict in self.scenarios.items() if verdict == "not covered"))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"passed": self.passed, "skipped": list(self.skipped), **dataclasses.asdict(self)}


def selftest(bundle: Bundle, *, threads: int = 1, progress: Callable[[str], None] = lambda what: None) -> SelfTest:
    """Run every golden sample on every accepted edge file whose engine is installed.

    A file passes if all outputs are finite and within its tolerances of the float32 Keras model's outputs, and if every
    decision is the Keras model's, except those that differed at export. ``progress`` is called with each file's path.

    Raises:
        BundleError: the golden samples are missing or altered.
    """
    golden = bundle.golden()
    raw = bundle.golden_raw()
    preprocessing = tuple(_check_preprocessing(spec, golden, raw) for spec in bundle.specs.values())
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


def _check_file(bundle: Bundle, golden: Golden, file: ExportedFile, threads: int) -> FileCheck:
    check = FileCheck(file.format, file.precision, file.path, "skipped", why_not_run(bundle, file))
    if not file.accepted:
        return dataclasses.replace(check, verdict="rejected", reason=file.reason)
    if check.reason:
        return check
    try:
        with open_runner(bundle, file, threads=threads) as runner:
            names = [tensor.name for tensor in runner.inputs]
            # One sample at a time, as on a device: a batch may use other kernels.
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
    check = PreprocessingCheck("answers", "skipped", "the bundle holds none")
    kept = bundle.golden_answers()
    if kept is None:
        return check
    try:
        reason = compare_answers(bundle.task, golden, kept)
    except MmkerasError as error:
        reason = str(error)
    return dataclasses.replace(check, verdict="failed" if reason else "passed", reason=reason, samples=len(golden))


def _check_preprocessing(spec: ModalitySpec, golden: Golden, raw: list[dict[str, Any]]) -> PreprocessingCheck:
    absent = [row for row, scenario in enumerate(golden.scenarios) if scenario == f"without_{spec.name}"]
    reason = next((problem for row in absent if (problem := _input_difference(spec, golden, row, None)[1])), "")
    worst, samples = 0.0, 0
    for row, index in enumerate(golden.raw):
        value = raw[index].get(spec.name) if index >= 0 else None
        if value is None:
            continue
        samples += 1
        try:
            difference, problem = _input_difference(spec, golden, row, value)
        except DependencyError as error:
            return PreprocessingCheck(spec.name, "skipped", str(error))
        except DataError as error:
            reason = f"{golden.keys[row]}: {error}"
            break
        worst, reason = max(worst, difference), reason or problem
    if not samples:
        return PreprocessingCheck(spec.name, "skipped", "the bundle has no raw golden inputs of it")
    verdict = "failed" if reason else "passed"
    return PreprocessingCheck(spec.name, verdict, reason, samples, worst if np.isfinite(worst) else None)


def _input_difference(spec: ModalitySpec, golden: Golden, row: int, value: Any) -> tuple[float, str]:
    """Return the largest difference of a sample's tensors to the golden ones, and a message if one is too large."""
    tensors = spec.inputs(value)
    worst, problem = 0.0, ""
    for tensor in (*spec.tensors, spec.present):
        diff, limit = input_difference(golden.inputs[tensor.name][row], np.asarray(tensors[tensor.name]))
        if not diff <= limit and not problem:
            what = f"{tensor.name} of a missing {spec.name}" if value is None else tensor.name
            problem = f"{golden.keys[row]}: {what} differs by {diff:.3g}, allowed {limit:g}"
        worst = max(worst, diff)
    return worst, problem
