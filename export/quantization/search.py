"""Finds the layers that must stay in float by the loss of the task's metric, first by part of the model, then by layer.

1. Everything in int8. Where that holds the limits, the search ends.
2. One part of the model in int8 at a time (each modality, the fusion, the head), to measure its loss.
3. In the parts with a loss, one layer in int8 at a time.
4. The layers with the largest loss go back to float, 1, 2, 4, ... of them, until the limits hold in every scenario;
   then a bisection finds the fewest of them that hold the limits.

Layers whose loss is within the metric's standard error are ordered by their effect on the outputs; layers of the other
parts follow, the smallest first.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from export.quantization.costs import Costs, LayerCost
from export.quantization.layers import QuantizedLayer, Quantizer
from export.quantization.trial import Trial
from export.verification.results import ScenarioResult
from export.verification.scenarios import ALL
from mmkeras.core.errors import ExportError

__all__ = ["Search"]

NOTHING = 0.05
"""Loss of a part of the model, in points, up to which its layers are not measured."""


@dataclass
class Search:
    """One search."""

    quantizer: Quantizer
    """Writes the candidates."""
    trial: Trial
    """Measures the candidates."""
    step: Callable[[str], None] = lambda line: None
    """Called with a line before each measurement."""
    _candidate: Path = field(default=Path(), init=False)

    def run(self) -> tuple[tuple[str, ...], Costs]:
        """Return the names of the quantiser's layers that stay in float, and the measured costs.

        Raises:
            ExportError: the limits do not hold with a single layer in the small precision.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._candidate = Path(folder) / "candidate"
            return self._run()

    def _run(self) -> tuple[tuple[str, ...], Costs]:
        every = self.quantizer.layers
        self.step(f"everything in {self.trial.precision}")
        whole = self._try(())
        costs = Costs(
            metric=self.trial.reference.task.metric,
            samples=len(self.trial.reference.keys),
            split=self.trial.split,
            scenarios=tuple(whole),
            whole=self.trial.worst(whole),
            branches={},
            layers=(),
            final=self.trial.worst(whole),
            quantized=len(every),
            total=len(every),
        )
        if not self.trial.problems(whole):
            return (), costs
        # Scenario ``all``, and the one in which the file is furthest beyond its limit.
        scenarios = tuple(dict.fromkeys((ALL, self.trial.tightest(whole))))
        branches: dict[str, float] = {}
        for branch in dict.fromkeys(layer.branch for layer in every):
            self.step(f"only {branch} in {self.trial.precision}")
            branches[branch] = self.trial.worst(self._only([x for x in every if x.branch == branch], scenarios))
        # Where no part has a loss alone, only their combination has: the layers of all parts are measured.
        noise = max(NOTHING, self.trial.noise(whole))
        costly = [name for name, drop in branches.items() if drop > noise] or list(branches)
        inside = [layer for layer in every if layer.branch in costly]
        measured = []
        for number, layer in enumerate(inside, 1):
            self.step(f"layer {number} of {len(inside)}: {layer.layer}")
            results = self._only([layer], scenarios)
            difference = max(result.mean_abs_diff for result in results.values())
            measured.append((self.trial.worst(results), difference, layer))
        measured.sort(key=lambda entry: (entry[0] if entry[0] > noise else 0.0, entry[1]), reverse=True)
        others = sorted((layer for layer in every if layer not in inside), key=lambda layer: layer.weights)
        order = [layer.name for layer in (*(layer for _, _, layer in measured), *others)]
        count, final = self._fewest(order)
        kept = tuple(order[:count])
        layers = tuple(LayerCost(layer.layer, layer.branch, drop, layer.name in kept) for drop, _, layer in measured)
        return kept, dataclasses.replace(
            costs,
            scenarios=scenarios,
            branches=branches,
            layers=layers,
            final=self.trial.worst(final),
            quantized=len(every) - count,
        )

    def _fewest(self, order: list[str]) -> tuple[int, dict[str, ScenarioResult]]:
        """Return the fewest first layers of an order that must stay in float, and the results with them in float."""
        low, count = 0, 1
        while self.trial.problems(held := self._in_float(count, order)):
            if count >= len(order) - 1:
                if not (refused := self.trial.refused(held)):
                    return count, held
                raise ExportError(
                    f"Not even one layer in {self.trial.precision} holds the limits: {refused}. "
                    "Use another precision, or allow a larger loss with --max-metric-drop."
                )
            low, count = count, min(2 * count, len(order) - 1)
        while count - low > 1:
            middle = (low + count) // 2
            results = self._in_float(middle, order)
            if self.trial.problems(results):
                low = middle
            else:
                count, held = middle, results
        return count, held

    def _in_float(self, count: int, order: list[str]) -> dict[str, ScenarioResult]:
        self.step(f"{count} of {len(order)} layers in float")
        return self._try(order[:count])

    def _only(self, layers: list[QuantizedLayer], scenarios: tuple[str, ...]) -> dict[str, ScenarioResult]:
        """Measure with some layers in int8 and everything else in float."""
        return self._try([layer.name for layer in self.quantizer.layers if layer not in layers], scenarios)

    def _try(self, keep: Iterable[str], scenarios: tuple[str, ...] | None = None) -> dict[str, ScenarioResult]:
        self.quantizer.write(self._candidate, keep)
        return self.trial.measure(self._candidate, scenarios)
