"""The limits of a comparison: by the precision of both files, and as the user sets them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from export.foreign.model import Model
from export.verification.content import content_problem
from export.verification.gates import GATES, Gate
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.runtime.differences.read import read_contents

__all__ = ["Limits", "limits_for", "precision_of"]

_LADDER = ("float32", "float16", "int8-weights", "int8-dynamic", "int8", "int8-full")
"""Precisions with ever looser gates."""
_TOLERANCES = {"tflite": 1e-4, "tensorrt": 1e-3}
"""Differences of float32 files by format; 1e-5 for others. Those of `export.to_litert` and `export.to_onnx`."""


@dataclass(frozen=True)
class Limits:
    """What a file may differ by."""

    precision: str
    gate: Gate
    tolerance: float
    """Largest relative difference, where the gate is exact."""

    def text(self, has_metric: bool) -> str:
        """Return the limits in words."""
        gate = self.gate
        parts = [f"difference {self.tolerance:g}" if gate.exact else f"noise {gate.noise:g} of an output's spread"]
        if gate.flips is not None:
            parts.append(f"{100 * gate.flips:g} % of the decisions changed")
        if gate.metric_drop is not None and has_metric:
            parts.append(f"{100 * gate.metric_drop:g} points of the metric lost")
        return f"{', '.join(parts)} ({self.precision})"


def precision_of(model: Model) -> str:
    """Return the precision of a file, from the types of its inputs, constants and operators.

    A file counts as int8 only where most of it is: one stray integer must not loosen the limits of a float32 file.
    """
    if model.format not in ("tflite", "onnx"):
        return "float32"
    if any(tensor.scale for tensor in model.inputs):
        return "int8-full"
    contents = read_contents(model.path, model.format)
    if contents is None:
        return "float32"
    integers = sum(contents.types[name] for name in ("int8", "uint8", "int4", "uint4"))
    floats = sum(contents.types[name] for name in ("float32", "float16", "bfloat16"))
    weighted = sum(contents.operators[name] for name in ("Conv", "MatMul", "Gemm", "ConvTranspose"))
    # Quantisation-aware training in PyTorch keeps weights in float32, with a QuantizeLinear for each.
    pairs = 2 * contents.operators["QuantizeLinear"] >= max(weighted, 1)
    if integers > floats or pairs:
        names = ("int8-weights", "int8-dynamic", "int8")
        return next((name for name in names if not content_problem(model.path, model.format, name)), "int8")
    return "float16" if 2 * contents.types["float16"] > floats else "float32"


def limits_for(
    file: Model,
    reference: Model,
    *,
    precision: str = "",
    tolerance: float | None = None,
    max_metric_drop: float | None = None,
    max_flips: float | None = None,
    metric: str = "",
) -> Limits:
    """Return the limits: those of the looser precision of the two files, with the user's own in their place.

    Args:
        file: the file.
        reference: the reference.
        precision: one of `GATES` in place of the one that is found.
        tolerance: largest relative difference; the outputs are then compared exactly whatever the precision.
        max_metric_drop: largest loss of the metric, in points.
        max_flips: largest share of changed decisions, in percent.
        metric: name of the metric; empty without a target.

    Raises:
        ConfigError: an unknown precision, a limit out of its range, or one for a metric without a target.
    """
    if precision and precision not in GATES:
        raise ConfigError(f"--precision: {precision!r}; {nearest(precision, GATES)}")
    for name, value in (("--max-metric-drop", max_metric_drop), ("--max-flips", max_flips)):
        if value is not None and not 0 <= value <= 100:
            raise ConfigError(f"{name}: expected a number from 0 to 100, got {value}")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ConfigError(f"--tolerance: expected 0 or more and less than 1, got {tolerance}")
    if max_metric_drop is not None and not metric:
        raise ConfigError(
            "--max-metric-drop limits a metric, which needs the column of the labels: add --target COLUMN"
        )
    found = precision or max((precision_of(each) for each in (file, reference)), key=_LADDER.index)
    gate = GATES[found]
    if metric == "relative_mae":
        gate = dataclasses.replace(gate, flips=None, flips_elsewhere=None, flips_and_ties=None)
    if not metric:
        # Slices are judged by their changed decisions alone.
        gate = dataclasses.replace(gate, metric_drop=None)
    if tolerance is not None:
        gate = dataclasses.replace(gate, exact=True, noise=None)
    if max_metric_drop is not None:
        gate = dataclasses.replace(gate, metric_drop=max_metric_drop / 100)
    if max_flips is not None:
        share = max_flips / 100
        gate = dataclasses.replace(
            gate, flips=share, flips_elsewhere=max(share, gate.flips_elsewhere or 0), few_flips=0
        )
    if tolerance is None:
        tolerance = max(_TOLERANCES.get(each.format, 1e-5) for each in (file, reference))
    return Limits(found, gate, tolerance)
