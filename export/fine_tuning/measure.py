"""Measures the cost of int8: scores the Keras model and its int8 file on the same samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from export.calibration import choose_calibration
from export.formats import Job, formats
from export.quantization.layers import Quantizer
from export.source import Source
from export.to_litert.int8 import LiteRTQuantizer
from export.verification.runners import opened
from export.verification.scenarios import ALL
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError

__all__ = ["Measured", "measure"]


@dataclass(frozen=True)
class Measured:
    """One model in float32 and in int8."""

    samples: int
    layers: int
    """Layers that are int8 in the file."""
    float32: dict[str, float]
    """The Keras model's task metric by scenario."""
    int8: dict[str, float]
    """The int8 file's task metric by scenario."""
    flips: dict[str, int]
    """Decisions that differ between the two, by scenario."""
    weights: np.ndarray
    """Weights (N,) of the samples in the metric."""
    groups: np.ndarray
    """Number of each sample's group (N,)."""
    evidence: dict[str, np.ndarray]
    """The task's evidence of the int8 file in the scenario ``all``."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``fine_tuning.json``."""
        return {"float32": self.float32, "int8": self.int8, "flips": self.flips}


def measure(
    source: Source, format: str, keep: Sequence[str], calibration_samples: int, step: Callable[[str], None]
) -> Measured:
    """Convert a model to int8 and score the model and the file in every modality scenario.

    Layers whose path matches a pattern of ``keep`` stay in float. ``step`` is called with a line before each step.

    Raises:
        ExportError: the model cannot be converted, or its data is not at hand.
    """
    if source.index is None:
        raise ExportError(f"{source.name}: its data is not at hand, so int8 cannot be calibrated.")
    step("choosing calibration samples")
    calibration = choose_calibration(source.index, source.specs, source.task, calibration_samples)
    reference = Reference(source, lambda name: step(f"Keras, {name}"))
    with tempfile.TemporaryDirectory() as folder:
        step(f"converting to {format} int8")
        float32 = Path(folder, f"float32.{format}")
        formats()[format].convert(Job(source, Path(folder)), "float32", float32)
        if format == "onnx":
            from export.to_onnx.int8 import OnnxQuantizer

            quantizer: Quantizer = OnnxQuantizer(float32, calibration.inputs, float32.parent)
        else:
            quantizer = LiteRTQuantizer(float32, calibration.inputs)
        kept = [layer.name for layer in quantizer.layers if any(fnmatch(layer.layer, pattern) for pattern in keep)]
        path = Path(folder, f"int8.{format}")
        quantizer.write(path, kept)
        scores, flips, evidence = {}, {}, {}
        with opened(format, path) as file:
            for case in reference.cases:
                name = case.scenario.name
                step(f"int8, {name}")
                found = reference.reduced(case, file.infer, file.size)
                scores[name] = source.task.finish(found.evidence, reference.weights)[source.task.metric]
                flips[name] = int(found.flips.sum())
                if name == ALL:
                    evidence = found.evidence
    return Measured(
        samples=len(reference.keys),
        layers=len(quantizer.layers) - len(kept),
        float32={name: float(value) for name, value in reference.metrics.items()},
        int8=scores,
        flips=flips,
        weights=reference.weights,
        groups=reference.groups,
        evidence=evidence,
    )
