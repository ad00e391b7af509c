"""Cluster bootstrap of any task's metrics: whole groups of samples are drawn with replacement.

With the same seed, the draws of two models on the same samples are paired. `mmkeras.evaluation.draws` computes
intervals from the draws. Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.draws import Draws, Interval, Support
from mmkeras.evaluation.members import Members, without_each
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence

__all__ = ["BLOCKS", "SLOW_RESAMPLES", "Bootstrap", "Draws", "Interval", "paired_error"]

SLOW_RESAMPLES = 100
"""Resamples of a metric that is not a function of sums, see `TaskSpec.of_rows`."""
BLOCKS = 100
"""Most blocks of groups for the jackknife of such a metric."""
_CHUNK = 8_000_000
_ROWS_CHUNK = 2_000_000
OfSums = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Sums (R, ...) by name -> metrics (R,) by name, see `TaskSpec.of_sums`."""


@dataclass(frozen=True)
class Bootstrap:
    """The settings of all resampling in one evaluation."""

    resamples: int = 1000
    """Resamples behind every interval."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the resamples."""

    def counts(self, groups: int) -> Iterator[np.ndarray]:
        """Yield blocks of R resamples, float32 (r, G): how often each group is drawn in each of r resamples."""
        generator = np.random.default_rng(self.seed)
        rows = max(1, min(self.resamples, _CHUNK // max(groups, 1)))
        for start in range(0, self.resamples, rows):
            block = min(rows, self.resamples - start)
            picks = generator.integers(0, groups, (block, groups), dtype=np.int64)
            picks += np.arange(block)[:, None] * groups
            flat = np.bincount(picks.ravel(), minlength=block * groups)
            yield flat.reshape(block, groups).astype(np.float32)

    def summed(
        self,
        rows: Mapping[str, np.ndarray],
        of_sums: OfSums,
        weights: np.ndarray,
        groups: np.ndarray | None = None,
        counted: Mapping[str, np.ndarray] | None = None,
    ) -> Draws:
        """Score and resample metrics that are functions of sums over samples.

        Args:
            rows: the summands of each of N samples, (N, ...) by name.
            of_sums: computes the metrics.
            weights: sample weights (N,).
            groups: number of each sample's group (N,); by default every sample is a group of its own.
            counted: see `TaskSpec.counted`.
        """
        members = Members(groups, weights)
        flat = np.concatenate([value.reshape(len(value), -1) for value in rows.values()], axis=1)
        sums = members.sums(flat * members.weights[:, None])
        ends = np.cumsum([int(np.prod(value.shape[1:])) for value in rows.values()])

        def finished(block: np.ndarray) -> Mapping[str, np.ndarray]:
            parts = zip(rows.items(), np.split(block, ends[:-1], axis=1), strict=True)
            return of_sums({name: part.reshape(len(block), *value.shape[1:]) for (name, value), part in parts})

        single = sums.astype(np.float32)
        blocks = [finished((counts @ single).astype(np.float64)) for counts in self.counts(members.count)]
        exact = finished(sums.sum(axis=0, keepdims=True))
        return Draws(
            values={name: float(value[0]) for name, value in exact.items()},
            draws={name: np.concatenate([block[name] for block in blocks]) for name in exact},
            methods=dict.fromkeys(exact, "bootstrap"),
            confidence=self.confidence,
            support=Support.of(members.sums(members.weights[:, None])[:, 0]),
            supports={
                name: Support.of(members.sums((value * members.weights)[:, None])[:, 0])
                for name, value in (counted or {}).items()
            },
            left_out=dict(finished(without_each(sums))),
        )

    def score(
        self,
        task: TaskSpec,
        evidence: Evidence,
        weights: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        only: Collection[str] = (),
    ) -> Draws:
        """Score samples and every resample of them.

        Args:
            task: computes the metrics.
            evidence: of N samples, see `TaskSpec.evidence`.
            weights: sample weights (N,); ones by default.
            groups: number of each sample's group (N,); by default every sample is a group of its own.
            only: names of the metrics to return; all if empty.

        Raises:
            DataError: there are no samples.
        """
        count = len(next(iter(evidence.values())))
        if not count:
            raise DataError("Expected at least one sample to evaluate, got none. Check the split and its conversion.")
        if weights is None:
            weights = np.ones(count, np.float32)
        members = Members(groups, weights)
        rows = task.sums(evidence)
        if rows:
            found = self.summed(rows, task.of_sums, weights, groups, task.counted(evidence))
        else:
            support = Support.of(members.sums(members.weights[:, None])[:, 0])
            found = Draws({}, {}, {}, self.confidence, support)
        if not only or set(only) - set(found.values):
            found = self._with_rows(found, task, evidence, members)
        wanted = [name for name in found.values if not only or name in only]
        return replace(found, values={name: found.values[name] for name in wanted})

    def _with_rows(self, found: Draws, task: TaskSpec, evidence: Evidence, members: Members) -> Draws:
        """Add the metrics of `TaskSpec.of_rows`, with fewer resamples, and without blocks of groups."""
        exact = task.of_rows(evidence, members.weights[None])
        if not exact:
            return found
        # The same resamples as those of the other metrics, so that both kinds can be compared.
        resampled = min(self.resamples, SLOW_RESAMPLES)
        resamples = replace(self, resamples=resampled).counts(members.count)
        times = np.concatenate([*resamples, members.without_each_block(BLOCKS, self.seed)])
        size = max(1, _ROWS_CHUNK // len(members.of))
        blocks = [
            task.of_rows(evidence, times[start : start + size][:, members.of] * members.weights)
            for start in range(0, len(times), size)
        ]
        scores = {name: np.concatenate([block[name] for block in blocks]) for name in exact}
        return replace(
            found,
            values=found.values | {name: float(value[0]) for name, value in exact.items()},
            draws=found.draws | {name: each[:resampled] for name, each in scores.items()},
            methods=found.methods | dict.fromkeys(scores, "bootstrap-slow"),
            left_out=dict(found.left_out) | {name: each[resampled:] for name, each in scores.items()},
        )


def paired_error(
    task: TaskSpec,
    reference: Evidence,
    evidence: Evidence,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> float:
    """Return the standard error of the difference of the task's metric between two models on the same samples.

    Args:
        task: the task.
        reference: evidence of one model on N samples.
        evidence: evidence of the other model.
        weights: sample weights (N,); ones by default.
        groups: number of each sample's group (N,); by default every sample is a group of its own.
        resamples: draws of the groups; at most `SLOW_RESAMPLES` of a metric that is not a function of sums.
        seed: of the draws.

    Returns:
        The error in the metric's unit. 0 if it is unknown: with a single group, or if the metric is not defined on most
        draws (a draw of few samples may have no object).

    Raises:
        DataError: there are no samples.
    """
    bootstrap = Bootstrap(resamples, seed=seed)
    before, after = (
        bootstrap.score(task, each, weights, groups, only=(task.metric,)) for each in (reference, evidence)
    )
    error = after.difference_error(before, task.metric)
    return error if np.isfinite(error) else 0.0
