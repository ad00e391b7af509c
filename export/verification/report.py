"""The report of an export, ``export.json``: its schema is ``mmkeras/schemas/export.schema.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.costs import Costs
from export.verification.results import ScenarioResult, finite, max_or_nan
from export.verification.scenarios import ALL
from mmkeras.storage.files import write_json

__all__ = ["REPORT_NAME", "SCHEMA_VERSION", "FileResult", "Report"]

SCHEMA_VERSION = 2
"""Version of export.json's schema."""
REPORT_NAME = "export.json"
"""File name inside the bundle folder."""


@dataclass(frozen=True)
class FileResult:
    """One requested file: what was written, how it behaves, and whether it may ship."""

    format: str
    """``saved_model``, ``tflite`` or ``onnx``."""
    precision: str
    """``float32``, ``float16``, ``int8-dynamic``, ``int8-weights``, ``int8`` or ``int8-full``."""
    path: str = ""
    """Relative to the bundle; empty where the conversion failed."""
    bytes: int = 0
    """Size on disk."""
    sha256: str = ""
    """As in the manifest; empty where the conversion failed."""
    scenarios: dict[str, ScenarioResult] = field(default_factory=dict)
    """By name; empty where the file was never run."""
    accepted: bool = False
    """Whether it passed its gate."""
    reason: str = ""
    """Why it is not accepted; empty for an accepted file."""
    tolerances: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Largest difference to the golden outputs that a self-test on a device accepts, by scenario and output."""
    flipped: tuple[int, ...] = ()
    """Golden samples on which the file's decision is not the Keras model's; a self-test checks the others."""
    engine: dict[str, Any] = field(default_factory=dict)
    """For an accepted ONNX file: TensorRT versions that refuse it, and the commands that build an engine."""
    rung: int = 0
    """Its place on the ladder of its format, 1 the smallest and fastest; 0 without a ladder."""
    costs: Costs | None = None
    """For static int8 and ONNX float16, what each part of the model costs and what therefore stays in float32."""

    @property
    def max_abs_diff(self) -> float:
        """Largest difference over all scenarios; NaN where the file was never run."""
        return max_or_nan([result.max_abs_diff for result in self.scenarios.values()])

    @property
    def mean_abs_diff(self) -> float:
        """Mean over all scenarios; NaN where the file was never run."""
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
            **finite({"max_abs_diff": self.max_abs_diff, "mean_abs_diff": self.mean_abs_diff}),
            "samples": whole.samples if whole else 0,
            "flips": self.flips,
            **finite({name: getattr(whole, name, None) for name in ("metric", "metric_change")}),
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
    """One per requested format and precision; with a ladder, those that were tried."""
    budget: dict[str, Any] = field(default_factory=dict)
    """``max_metric_drop`` in points and ``max_flips`` in percent, null for the precision's own limit; ``ladder``."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """What static int8 measured its ranges on; empty where no file needed it."""
    gates: dict[str, Any] = field(default_factory=dict)
    """The limits by precision, and how they are applied."""
    faults: dict[str, str] = field(default_factory=dict)
    """By planted fault: ``caught`` by the self-test of every file, or ``no effect`` on the model's outputs."""
    coverage: dict[str, dict[str, float]] = field(default_factory=dict)
    """By modality, shares of the verification samples that the model does not use, from `mmkeras.data.coverage`."""
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
        submodels = [{"name": p.name, "version": p.version, "accepted": p.accepted} for p in self.submodels]
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "version": self.version,
            "metric": self.metric,
            "reference": finite(self.reference),
            "budget": self.budget,
            **({"calibration": self.calibration} if self.calibration else {}),
            "gates": self.gates,
            "faults": self.faults,
            **({"coverage": self.coverage} if self.coverage else {}),
            "files": [file.to_json() for file in self.files],
            **({"submodels": submodels} if submodels else {}),
        }

    def write(self, folder: Path) -> Path:
        """Write ``export.json`` into a folder."""
        return write_json(folder / REPORT_NAME, self.to_json())
