"""The cost of int8 or float16 by part of the model and by layer, and the layers that stay in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Costs", "LayerCost"]


@dataclass(frozen=True)
class LayerCost:
    """One layer alone in int8 or float16, everything else in float32."""

    layer: str
    """Path of the Keras layer."""
    branch: str
    drop: float
    """Loss of the task metric in the worst measured scenario, in points; negative for a gain."""
    kept: bool = False


@dataclass(frozen=True)
class Costs:
    """The result of a search."""

    metric: str
    samples: int
    """Samples of the measurement; the file is verified on others."""
    split: str
    scenarios: tuple[str, ...]
    whole: float
    """Loss with every layer in the small precision, in points."""
    branches: dict[str, float]
    """Loss with only one part of the model in the small precision, in points."""
    layers: tuple[LayerCost, ...]
    """Layers of the parts with a loss, the largest loss first."""
    final: float
    """Loss of the file, in which some layers stay in float, in points."""
    quantized: int
    """Layers in the small precision."""
    total: int
    """Layers that could be in the small precision."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Keras layers that stay in float."""
        return tuple(cost.layer for cost in self.layers if cost.kept)

    def to_json(self) -> dict[str, Any]:
        """Return ``branch_costs`` of ``export.json``; losses are in points of the metric."""
        return {
            "metric": self.metric,
            "samples": self.samples,
            "split": self.split,
            "scenarios": list(self.scenarios),
            "whole": round(self.whole, 4),
            "final": round(self.final, 4),
            "quantized": self.quantized,
            "total": self.total,
            "branches": {name: round(drop, 4) for name, drop in self.branches.items()},
            "layers": [
                {"layer": cost.layer, "branch": cost.branch, "drop": round(cost.drop, 4), "kept": cost.kept}
                for cost in self.layers
            ],
        }
