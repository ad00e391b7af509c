"""Measures candidate files of a search, on samples that files are not verified on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.source import Source
from export.verification.gates import Gate
from export.verification.judge import allowed_drop, judge
from export.verification.results import ScenarioResult, max_or_nan
from export.verification.runners import opened
from export.verification.samples import Sample, draw, spread_rows, stratum
from export.verification.scenarios import ALL
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError

__all__ = ["SHARE", "Trial", "tuning_samples"]

SHARE = {"float16": 0.5}
"""Share of the search's own limit of the metric that a candidate may use up, by precision, without an allowance for
chance. A layer of float16 that stays in float32 costs little, and the test samples may lose more."""


@dataclass(frozen=True)
class Trial:
    """The Keras model on the tuning samples, and the limits of a candidate."""

    reference: Reference
    """The model's outputs in every scenario."""
    split: str
    format: str
    precision: str
    gates: Mapping[str, Gate]
    """Limits by precision."""

    def measure(self, path: Path, names: Iterable[str] | None = None) -> dict[str, ScenarioResult]:
        """Run a candidate in named scenarios for their losses only, or in all of them with all that the limits need."""
        wanted = None if names is None else set(names)
        with opened(self.format, path) as file:
            return {
                case.scenario.name: self.reference.measure(case, file.infer, file.size, brief=names is not None)
                for case in self.reference.cases
                if wanted is None or case.scenario.name in wanted
            }

    def refused(self, results: Mapping[str, ScenarioResult]) -> str:
        """Return why a candidate that was measured in every scenario is refused; empty if it is not."""
        task = self.reference.task
        return judge(self.precision, 0.0, results, task.metric, task.metric_sign, self.gates, searching=True)

    def problems(self, results: Mapping[str, ScenarioResult]) -> str:
        """Return why a search goes on: the candidate is refused, or loses more than its precision's `SHARE`."""
        if said := self.refused(results):
            return said
        limit = self.gates[self.precision].metric_drop
        share = SHARE.get(self.precision)
        # 1e-9: as in the gates, the limit itself must pass in floating point too.
        if limit is None or share is None or self.worst(results) <= 100 * share * limit + 1e-9:
            return ""
        return f"{self.worst(results):.2f} points worse, sought {100 * share * limit:.2f}"

    def drop(self, result: ScenarioResult) -> float:
        """Return the loss of the metric that the limits apply to, in points; negative for a gain."""
        return -100 * self.reference.task.metric_sign * result.held

    def worst(self, results: Mapping[str, ScenarioResult]) -> float:
        """Return the largest loss of several scenarios in points."""
        return max_or_nan([self.drop(result) for result in results.values()])

    def tightest(self, results: Mapping[str, ScenarioResult]) -> str:
        """Return the scenario that is furthest beyond its limit, or nearest to it."""
        gate = self.gates[self.precision]

        def beyond(name: str) -> float:
            return self.drop(results[name]) - 100 * allowed_drop(gate, name, results[name])

        return max(results, key=beyond)

    def noise(self, results: Mapping[str, ScenarioResult]) -> float:
        """Return the standard error of the loss in points in the scenario ``all``; 0 where unknown."""
        return 100 * (results[ALL].metric_error or 0.0)


def tuning_samples(source: Source, limit: int) -> tuple[list[Sample], str]:
    """Return samples to measure candidates on, with each class and group in proportion, and the name of their split.

    They come from the validation split, or else from the training split; never from the test split, on which the
    chosen file is verified.

    Raises:
        ExportError: there are no samples, or files are verified on one of them, too.
    """
    found: list[Sample] = []
    split = "train"
    if source.index is not None:
        for split in ("validation", "train"):
            if source.index.samples(split):
                found = draw(source.index, split, limit)
                break
    elif source.training:
        order = [(stratum(source.task, sample.target),) for sample in source.training]
        found = [source.training[row] for row in spread_rows(order, limit)]
    verified = {sample.key for sample in source.samples}
    if shared := [sample.key for sample in found if sample.key in verified]:
        raise ExportError(
            f"{len(shared)} of the {len(found)} {split} samples to choose with, such as {shared[0]!r}, are also test "
            "samples that files are verified on. Those must not influence the choice: convert the data again."
        )
    if found:
        return found, split
    raise ExportError(
        "There are no samples to search with for the layers that stay in float: neither a validation nor a training "
        "split. Export the run where its data is."
    )
