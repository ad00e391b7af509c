"""Percentile bootstrap intervals of any task's metrics.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13. Outputs on the same samples are
resampled with the same counts when their seeds agree, so that the difference of their draws is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.errors import DataError
from mmkeras.evaluation.decompositions import Decomposition, decompositions, matching
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["SLOW_RESAMPLES", "Bootstrap", "Draws", "Interval"]

SLOW_RESAMPLES = 100
"""Resamples of a metric that has no decomposition: the task's ``resampler`` or ``score`` computes it each time."""
_CHUNK = 8_000_000


@dataclass(frozen=True)
class Interval:
    """A number with its interval."""

    value: float
    """The number on the samples as they are."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    method: str = "bootstrap"
    """``bootstrap``; ``bootstrap-slow`` with fewer resamples; ``exact`` (Clopper-Pearson) for a share of 0
    or 1, where every resample is the same and a bootstrap interval would have no width."""

    def to_json(self) -> dict[str, Any]:
        """Return the interval as JSON; a number that does not exist is ``null``."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{k: v if np.isfinite(v) else None for k, v in numbers.items()}, "method": self.method}


@dataclass(frozen=True)
class Draws:
    """Metrics on one group of samples, and on every resample of it."""

    values: dict[str, float]
    """Metrics on the samples as they are."""
    draws: dict[str, np.ndarray]
    """Metrics (R,) on the resamples; fewer for a slow metric."""
    methods: dict[str, str]
    """How each metric's draws were made, see `Interval`."""
    confidence: float
    """Coverage of the intervals."""
    effective: float
    """Effective number of samples, (sum w)^2 / sum w^2."""

    def interval(self, name: str) -> Interval:
        """Return one metric with its interval."""
        value, method = self.values[name], self.methods[name]
        if method == "exact":
            bound = ((1 - self.confidence) / 2) ** (1 / max(self.effective, 1.0))
            return Interval(value, bound, 1.0, method) if value == 1.0 else Interval(value, 0.0, 1 - bound, method)
        return Interval(value, *self._ends(self.draws[name]), method)

    def intervals(self) -> dict[str, Interval]:
        """Return every metric with its interval."""
        return {name: self.interval(name) for name in self.values}

    def difference(self, other: Draws, name: str) -> Interval:
        """Return ``self - other`` with its paired interval; both must come from the same samples and seed."""
        size = min(len(self.draws[name]), len(other.draws[name]))
        draws = self.draws[name][:size] - other.draws[name][:size]
        slow = "bootstrap-slow" in (self.methods[name], other.methods[name])
        method = "bootstrap-slow" if slow else "bootstrap"
        return Interval(self.values[name] - other.values[name], *self._ends(draws), method)

    def _ends(self, draws: np.ndarray) -> tuple[float, float]:
        finite = draws[np.isfinite(draws)]
        if not finite.size:
            return float("nan"), float("nan")
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(finite, [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class Bootstrap:
    """The settings of all resampling in one evaluation."""

    resamples: int = 1000
    """Resamples behind every interval."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the resamples."""

    def counts(self, samples: int) -> Iterator[np.ndarray]:
        """Yield float32 (r, N) blocks: how often each sample stands in each of r resamples; R rows in all."""
        generator = np.random.default_rng(self.seed)
        rows = max(1, min(self.resamples, _CHUNK // max(samples, 1)))
        for start in range(0, self.resamples, rows):
            block = min(rows, self.resamples - start)
            picks = generator.integers(0, samples, (block, samples), dtype=np.int64)
            picks += np.arange(block)[:, None] * samples
            flat = np.bincount(picks.ravel(), minlength=block * samples)
            yield flat.reshape(block, samples).astype(np.float32)

    def draw(self, parts: Mapping[str, Decomposition], weights: np.ndarray) -> dict[str, np.ndarray]:
        """Resample decomposed metrics.

        Args:
            parts: metrics over the same N samples.
            weights: sample weights (N,).

        Returns:
            Draws (R,) by metric.
        """
        if not parts:
            return {}
        # Several metrics share their sums (the class counts above all): multiply each array once.
        arrays = {id(part.contributions): part.contributions for part in parts.values()}
        stacked = np.concatenate(list(arrays.values()), axis=1) * weights[:, None].astype(np.float32)
        ends = np.cumsum([array.shape[1] for array in arrays.values()])
        spans = {key: slice(end - arrays[key].shape[1], end) for key, end in zip(arrays, ends, strict=True)}
        blocks: dict[str, list[np.ndarray]] = {name: [] for name in parts}
        for counts in self.counts(len(weights)):
            sums = (counts @ stacked).astype(np.float64)
            for name, part in parts.items():
                blocks[name].append(part.finish(sums[:, spans[id(part.contributions)]]))
        return {name: np.concatenate(block) for name, block in blocks.items()}

    def score(self, task: TaskSpec, targets: np.ndarray, outputs: Outputs, weights: np.ndarray | None = None) -> Draws:
        """Score outputs and every resample of them.

        Args:
            task: gives the metrics.
            targets: encoded targets (N, ...).
            outputs: model outputs (N, ...) by name.
            weights: sample weights (N,); ones when not given.

        Raises:
            DataError: there are no samples.
        """
        if not len(targets):
            raise DataError("Expected at least one sample to evaluate, got none. Check the split and its conversion.")
        if weights is None:
            weights = np.ones(len(targets), np.float32)
        resampler = getattr(task, "resampler", None)
        weighted = resampler(targets, outputs) if resampler else None
        scores = weighted(weights) if weighted else task.score(targets, outputs, weights)
        values = {name: float(value) for name, value in scores.items()}
        fast = matching(decompositions(task, targets, outputs), values, weights)
        draws = self.draw(fast, weights)
        methods = {
            name: "exact" if part.proportion and values[name] in (0.0, 1.0) else "bootstrap"
            for name, part in fast.items()
        }
        slow = [name for name in values if name not in fast]
        if slow:
            draws |= self._slow(weighted, task, targets, outputs, weights, slow)
            methods |= dict.fromkeys(slow, "bootstrap-slow")
        total, squares = float(weights.sum(dtype=np.float64)), float((weights.astype(np.float64) ** 2).sum())
        effective = total**2 / squares if squares else 0.0
        return Draws(values, draws, methods, self.confidence, effective)

    def _slow(
        self,
        weighted: Callable[[np.ndarray], Mapping[str, float]] | None,
        task: TaskSpec,
        targets: np.ndarray,
        outputs: Outputs,
        weights: np.ndarray,
        names: list[str],
    ) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(self.seed)
        rows: list[list[float]] = []
        for _ in range(min(self.resamples, SLOW_RESAMPLES)):
            # The same picks as `counts` makes, so that slow and fast metrics are compared on the same
            # resamples.
            picks = generator.integers(0, len(targets), len(targets), dtype=np.int64)
            if weighted:
                scores = weighted(np.bincount(picks, minlength=len(targets)) * weights)
            else:
                sample = {name: value[picks] for name, value in outputs.items()}
                scores = task.score(targets[picks], sample, weights[picks])
            rows.append([scores.get(name, np.nan) for name in names])
        return {
            name: np.asarray(column, np.float64) for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }
