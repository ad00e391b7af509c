"""What verification found, and ``export.json``: its schema is ``mmkeras/schemas/export.schema.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.costs import Costs
from export.verification.scenarios import ALL
from mmkeras.storage.files import write_json

__all__ = [
    "REPORT_NAME",
    "SCHEMA_VERSION",
    "FileResult",
    "OutputDifference",
    "Report",
    "ScenarioResult",
    "SliceResult",
    "max_or_nan",
]

SCHEMA_VERSION = 2
"""Version of export.json's schema."""
REPORT_NAME = "export.json"
"""File name inside the bundle folder."""


@dataclass(frozen=True)
class SliceResult:
    """One file against the Keras model on the samples that share a value of a column."""

    name: str
    """Column and value: ``weather = night``."""
    samples: int
    """Samples in it."""
    flips: int
    """Flipped decisions among them."""
    metric: float
    """The task's metric of the file."""
    metric_change: float
    """That metric minus the Keras model's."""
    metric_error: float = 0.0
    """Standard error of ``metric_change`` for groups of samples drawn anew."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``export.json``."""
        return {
            "name": self.name,
            "samples": self.samples,
            "flips": self.flips,
            "metric": _number(self.metric),
            "metric_change": _number(self.metric_change),
            "metric_error": _number(self.metric_error),
        }


@dataclass(frozen=True)
class OutputDifference:
    """One output of a file against the Keras model's, over all samples of a scenario."""

    max_abs: float
    """Largest absolute difference, in the output's unit; NaN where a value is not finite."""
    relative: float
    """Largest difference as a share of the largest of 1, the value and 4 times its channel's root mean square."""
    relative_most: float
    """The same of all values but the largest one in 100,000; equal where there are fewer."""
    noise: float
    """Root mean square difference as a share of the output's spread in the scenario ``all``, see `TaskSpec.spread`."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``export.json``."""
        return {
            "max_abs_diff": _number(self.max_abs),
            "relative": _number(self.relative),
            "relative_most": _number(self.relative_most),
            "noise": _number(self.noise),
        }


@dataclass(frozen=True)
class ScenarioResult:
    """One file against the Keras model in one modality scenario, on the same samples."""

    samples: int
    """Samples compared."""
    max_abs_diff: float
    """Largest absolute difference of any output; NaN where an output is not finite."""
    mean_abs_diff: float
    """Mean absolute difference over all outputs; NaN where an output is not finite."""
    flipped: tuple[str, ...]
    """Keys of the samples on which the decision differs."""
    metric: float
    """The task's metric of the file."""
    metric_change: float
    """That metric minus the Keras model's."""
    close: int = 0
    """Flipped decisions that were near ties of the Keras model: its margin was at most `verify.CLOSE`."""
    held_change: float | None = None
    """``metric_change`` with near ties set aside, which is held outside ``all``; None where it is the same."""
    not_finite: int = 0
    """Output values that are NaN or infinite."""
    outputs: dict[str, OutputDifference] = field(default_factory=dict)
    """By output: units are never mixed."""
    metric_error: float | None = None
    """Standard error of the change that is held, for groups of samples drawn anew; None where it was left out."""
    calibration_change: float | None = None
    """Expected calibration error of the file minus the Keras model's; None where the task has no confidences."""
    slices: tuple[SliceResult, ...] = ()
    """In the scenario ``all``, the slices of the data, the one that lost most first."""

    @property
    def flips(self) -> int:
        """Number of flipped decisions."""
        return len(self.flipped)

    @property
    def held(self) -> float:
        """The change of the metric that the gate holds."""
        return self.metric_change if self.held_change is None else self.held_change

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``export.json``; what is not a finite number becomes null."""
        return {
            "samples": self.samples,
            "max_abs_diff": _number(self.max_abs_diff),
            "mean_abs_diff": _number(self.mean_abs_diff),
            "flips": self.flips,
            "flipped": list(self.flipped),
            "close": self.close,
            "metric": _number(self.metric),
            "metric_change": _number(self.metric_change),
            "held_change": _number(self.held),
            "metric_error": None if self.metric_error is None else _number(self.metric_error),
            "calibration_change": None if self.calibration_change is None else _number(self.calibration_change),
            "outputs": {name: difference.to_json() for name, difference in self.outputs.items()},
            **({"worst_slice": self.slices[0].to_json()} if self.slices else {}),
        }


@dataclass(frozen=True)
class FileResult:
    """One file that was asked for: what was written, how it behaves, whether it may ship."""

    format: str
    """``saved_model``, ``tflite`` or ``onnx``."""
    precision: str
    """``float32``, ``float16``, ``int8-dynamic``, ``int8-weights``, ``int8`` or ``int8-full``."""
    path: str = ""
    """Relative to the bundle; empty where no file came to be."""
    bytes: int = 0
    """Size on disk."""
    sha256: str = ""
    """As in the manifest; empty where no file came to be."""
    scenarios: dict[str, ScenarioResult] = field(default_factory=dict)
    """By name; empty where the file was never run."""
    accepted: bool = False
    """Whether it passed its gate."""
    reason: str = ""
    """Why it is not accepted; empty for an accepted file."""
    tolerances: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Largest difference to the golden outputs that a self-test on a device accepts, by scenario and output."""
    flipped: tuple[int, ...] = ()
    """Golden samples on which the file's decision is not the Keras model's; a self-test holds the others."""
    engine: dict[str, Any] = field(default_factory=dict)
    """For an ONNX file that ships: which TensorRT refuses it, and the commands that build an engine."""
    rung: int = 0
    """Its place on the ladder of its format, 1 the smallest and fastest; 0 without a ladder."""
    costs: Costs | None = None
    """For static int8 and ONNX float16, what each part of the model costs and what therefore stays in float32."""

    @property
    def max_abs_diff(self) -> float:
        """Largest difference over all scenarios; NaN where there is none to give."""
        return max_or_nan([result.max_abs_diff for result in self.scenarios.values()])

    @property
    def mean_abs_diff(self) -> float:
        """Mean over all scenarios; NaN where there is none to give."""
        return float(np.mean([r.mean_abs_diff for r in self.scenarios.values()])) if self.scenarios else math.nan

    @property
    def flips(self) -> int:
        """Flipped decisions over all scenarios."""
        return sum(result.flips for result in self.scenarios.values())

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``export.json``; samples and metric are those of the scenario ``all``."""
        whole = self.scenarios.get(ALL)
        return {
            "format": self.format,
            "precision": self.precision,
            "path": self.path,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "max_abs_diff": _number(self.max_abs_diff),
            "mean_abs_diff": _number(self.mean_abs_diff),
            "samples": whole.samples if whole else 0,
            "flips": self.flips,
            "metric": _number(whole.metric) if whole else None,
            "metric_change": _number(whole.metric_change) if whole else None,
            "scenarios": {name: result.to_json() for name, result in self.scenarios.items()},
            "accepted": self.accepted,
            "reason": self.reason,
            **({"engine": self.engine} if self.engine else {}),
            **({"rung": self.rung} if self.rung else {}),
            **({"branch_costs": self.costs.to_json()} if self.costs else {}),
        }


@dataclass(frozen=True)
class Report:
    """A whole export."""

    folder: Path
    """The bundle."""
    name: str
    """Name of the model."""
    version: int
    """Version of the bundle."""
    metric: str
    """Name of the task's metric."""
    reference: dict[str, float]
    """The Keras model's metric by scenario."""
    files: tuple[FileResult, ...]
    """One per format and precision that was asked for; with a ladder, those that were tried."""
    budget: dict[str, Any] = field(default_factory=dict)
    """``max_metric_drop`` in points and ``max_flips`` in percent, null for the precision's own limit; ``ladder``."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """What static int8 measured its ranges on; empty where no file needed it."""
    gates: dict[str, Any] = field(default_factory=dict)
    """The limits that the files were held to, by precision, and how they are applied."""
    faults: dict[str, str] = field(default_factory=dict)
    """By planted fault: ``caught`` by the self-test of every file, or ``no effect`` on the model's outputs."""
    coverage: dict[str, dict[str, float]] = field(default_factory=dict)
    """By modality, which shares of the verification samples the model does not see, from `mmkeras.data.coverage`."""
    submodels: tuple[Report, ...] = ()
    """The exports of the model's submodels, each in a bundle of its own."""

    @property
    def accepted(self) -> bool:
        """Whether every file passed, those of submodels among them; with a ladder, whether one of each format did."""
        return self.files_accepted and all(part.accepted for part in self.submodels)

    @property
    def files_accepted(self) -> bool:
        """The same of the files in this bundle alone."""
        if self.budget.get("ladder"):
            formats = {file.format for file in self.files}
            return bool(formats) and formats == {file.format for file in self.files if file.accepted}
        return bool(self.files) and all(file.accepted for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``export.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "version": self.version,
            "metric": self.metric,
            "reference": {name: _number(value) for name, value in self.reference.items()},
            "budget": self.budget,
            **({"calibration": self.calibration} if self.calibration else {}),
            "gates": self.gates,
            "faults": self.faults,
            **({"coverage": self.coverage} if self.coverage else {}),
            "files": [file.to_json() for file in self.files],
            **({"submodels": [_named(part) for part in self.submodels]} if self.submodels else {}),
        }

    def write(self, folder: Path) -> Path:
        """Write ``export.json`` into a folder."""
        return write_json(folder / REPORT_NAME, self.to_json())


def _named(part: Report) -> dict[str, Any]:
    return {"name": part.name, "version": part.version, "accepted": part.accepted}


def max_or_nan(values: list[float]) -> float:
    """Return the largest value; NaN where one is NaN or there are none (``max`` would skip NaN)."""
    return float(np.max(values)) if values else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
