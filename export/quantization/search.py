"""Finds the layers that must stay in float: first by part of the model, then by layer, by the task's own metric.

1. Everything in int8. Where that holds the limits, nothing is searched.
2. One part of the model in int8 at a time (each modality, the fusion, the head): which part costs how much.
3. In the parts that cost something, one layer in int8 at a time.
4. The costliest layers go back to float, 1, 2, 4, ... of them, until the limits hold in every scenario; then the
   fewest of them that hold it.

Layers that cost no more than the metric's own scatter are ordered by their effect on the outputs; layers of the other
parts follow, the smallest first.
"""

from __future__ import annotations

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
"""Points that a part of the model may cost without its layers being measured."""


@dataclass
class Search:
    """One search."""

    quantizer: Quantizer
    """Writes the candidates."""
    trial: Trial
    """Measures them."""
    step: Callable[[str], None] = lambda line: None
    _aside: Path = field(default=Path(), init=False)

    def run(self) -> tuple[tuple[str, ...], Costs]:
        """Return the names of the quantiser's layers that stay in float, and the measured costs.

        Raises:
            ExportError: the limits do not hold with a single layer in the small precision.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._aside = Path(folder) / "candidate"
            return self._run()

    def _run(self) -> tuple[tuple[str, ...], Costs]:
        every = self.quantizer.layers
        self.step(f"everything in {self.trial.precision}")
        whole = self._try(())
        if not self.trial.problems(whole):
            return (), self._costs(tuple(whole), whole, {}, (), (), whole)
        # Beside the whole input, the scenario in which the file is furthest beyond its limit.
        scenarios = tuple(dict.fromkeys((ALL, self.trial.tightest(whole))))
        branches: dict[str, float] = {}
        for branch in dict.fromkeys(layer.branch for layer in every):
            self.step(f"only {branch} in {self.trial.precision}")
            branches[branch] = self.trial.worst(self._only([x for x in every if x.branch == branch], scenarios))
        # Where no part costs anything alone, only their combination does: all are searched.
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
        order = [layer.name for _, _, layer in measured]
        others = sorted((layer for layer in every if layer.name not in set(order)), key=lambda layer: layer.weights)
        order += [layer.name for layer in others]
        count, final = self._fewest(order)
        kept = order[:count]
        return tuple(kept), self._costs(
            scenarios,
            whole,
            branches,
            tuple(
                LayerCost(layer.layer, layer.branch, drop, difference, layer.name in set(kept))
                for drop, difference, layer in measured
            ),
            kept,
            final,
        )

    def _fewest(self, order: list[str]) -> tuple[int, dict[str, ScenarioResult]]:
        """Return how many of the first layers of an order must stay in float, and the results then."""
        held: dict[int, dict[str, ScenarioResult]] = {}
        low, count = 0, 1
        while True:
            self.step(f"{count} of {len(order)} layers in float")
            results = self._try(order[:count])
            if not self.trial.problems(results):
                held[count] = results
                break
            if count >= len(order) - 1:
                raise ExportError(
                    f"Not even one layer in {self.trial.precision} holds the limits: {self.trial.problems(results)}. "
                    "Take another precision, or allow more with --max-metric-drop."
                )
            low, count = count, min(2 * count, len(order) - 1)
        while count - low > 1:
            middle = (low + count) // 2
            self.step(f"{middle} of {len(order)} layers in float")
            results = self._try(order[:middle])
            if self.trial.problems(results):
                low = middle
            else:
                held[middle] = results
                count = middle
        return count, held[count]

    def _try(self, keep: Iterable[str], scenarios: tuple[str, ...] | None = None) -> dict[str, ScenarioResult]:
        self.quantizer.write(self._aside, keep)
        return self.trial.measure(self._aside, scenarios)

    def _only(self, layers: list[QuantizedLayer], scenarios: tuple[str, ...]) -> dict[str, ScenarioResult]:
        """Measure with some layers in int8 and everything else in float."""
        wanted = {layer.name for layer in layers}
        return self._try([x.name for x in self.quantizer.layers if x.name not in wanted], scenarios)

    def _costs(
        self,
        scenarios: tuple[str, ...],
        whole: dict[str, ScenarioResult],
        branches: dict[str, float],
        layers: tuple[LayerCost, ...],
        kept: Iterable[str],
        final: dict[str, ScenarioResult],
    ) -> Costs:
        total = len(self.quantizer.layers)
        return Costs(
            metric=self.trial.task.metric,
            samples=len(self.trial.reference.keys),
            split=self.trial.split,
            scenarios=scenarios,
            whole=self.trial.worst(whole),
            branches=branches,
            layers=layers,
            final=self.trial.worst(final),
            quantized=total - len(set(kept)),
            total=total,
        )
