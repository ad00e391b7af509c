"""Metrics with intervals, from resampled groups of samples.

Samples of one group (frames of a scene, questions of a picture, pictures of a patient) depend on each other, so whole
groups are resampled. Without groups in the data, every sample is a group of its own.

Percentiles of few resampled groups are too narrow, and asymmetric for skewed metrics. An interval therefore is the
value and ``t`` standard errors to each side on the metric's own scale (`mmkeras.evaluation.scales`). The standard error
is that of the bootstrap or of the delete-a-group jackknife, whichever is larger. ``t`` is the quantile of Student's
distribution with one degree of freedom less than the effective number of groups. That number is computed from the
weights of the groups or, if that gives fewer, from how much each group moves the metric. The second rule is not used
for a share that is a function of sums, since its scale already widens an interval of few errors.

A difference of two models is less skewed than the metric and depends less on the sizes of groups: the larger error and
the fewest degrees of freedom would cover 97 to 99 % with few groups. It uses the jackknife's error, whose bias is
upward, and an effective number of groups midway between the one above and the one without weights; the latter alone
covers 91 to 94 % with five to ten uneven groups.

``python -m tests.coverage`` measures the coverage of these intervals. With fewer than about ten groups of equal weight
they tend to be too wide and cover up to 99 %.

Sources: Cameron and Miller, A Practitioner's Guide to Cluster-Robust Inference, 2015; MacKinnon, Nielsen and Webb,
Cluster-Robust Inference: A Guide to Empirical Practice, 2023 (the jackknife, "CV3"); Efron and Stein, The Jackknife
Estimate of Variance, 1981 (its bias is upward); Shao and Tu, The Jackknife and Bootstrap, 1995, section 2.3 (blocks of
groups); Clopper and Pearson, 1934.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mmkeras.evaluation.scales import ends, scale_of

__all__ = ["FEW_GROUPS", "Draws", "Interval", "Support"]

FEW_GROUPS = 10
"""Effective number of groups below which intervals are rough."""


@dataclass(frozen=True)
class Interval:
    """A number with its interval."""

    value: float
    """The number on the original samples."""
    low: float
    """Lower end; NaN with a single group."""
    high: float
    """Upper end; NaN with a single group."""
    method: str = "bootstrap"
    """``bootstrap``; ``bootstrap-slow`` with fewer resamples; ``exact`` (Clopper-Pearson, with the effective number of
    groups) for a share of 0 or 1, of which all resamples are equal and a bootstrap interval would have no width."""

    def to_json(self) -> dict[str, Any]:
        """Return the interval as JSON; a number that is not finite becomes ``null``."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{k: v if np.isfinite(v) else None for k, v in numbers.items()}, "method": self.method}


@dataclass(frozen=True)
class Support:
    """The groups of samples that count in a metric."""

    groups: int
    """Groups with weight."""
    effective: float
    """Effective number of groups, (sum w)^2 / sum w^2 over their weights."""

    @classmethod
    def of(cls, weights: np.ndarray) -> Support:
        """Return the support of group weights (G,)."""
        total, squares = float(weights.sum()), float((weights.astype(np.float64) ** 2).sum())
        return cls(int((weights > 0).sum()), total**2 / squares if squares else 0.0)


@dataclass(frozen=True)
class Draws:
    """Metrics on N samples in G groups, and on every resample of the groups."""

    values: dict[str, float]
    """Metrics on the original samples."""
    draws: dict[str, np.ndarray]
    """Metrics (R,) on the resamples; fewer for a slow metric."""
    methods: dict[str, str]
    """Method of each metric's draws, see `Interval`."""
    confidence: float
    """Coverage of the intervals."""
    support: Support
    """All groups."""
    supports: Mapping[str, Support] = field(default_factory=dict)
    """The groups of each metric in which not all groups count."""
    left_out: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Metrics (G,) without one group each, or (B,) without one block of groups each for a slow metric."""

    def interval(self, name: str) -> Interval:
        """Return one metric with its interval."""
        value, method, support = self.values[name], self.methods[name], self.supports.get(name, self.support)
        scale = scale_of(name)
        if scale == "share" and (np.isclose(value, 0, atol=1e-9) or np.isclose(value, 1, rtol=0, atol=1e-9)):
            bound = self._bound(support)
            return Interval(value, bound, 1.0, "exact") if value > 0.5 else Interval(value, 0.0, 1 - bound, "exact")
        if scale == "correlation" and np.isclose(value, 1, rtol=0, atol=1e-9):
            return Interval(value, 2 * self._bound(support) - 1, 1.0, "exact")
        left_out, effective = self.left_out.get(name), support.effective
        # The logit scale already widens an interval of few errors; fewer degrees of freedom would widen it again.
        if left_out is not None and (scale != "share" or method == "bootstrap-slow"):
            effective = min(effective, _effective_by_influence(left_out))
        reach = self._reach(_error(self.draws[name], left_out, support), effective)
        low, high = ends(scale, value, reach)
        return Interval(value, low, high, method)

    def intervals(self) -> dict[str, Interval]:
        """Return every metric with its interval."""
        return {name: self.interval(name) for name in self.values}

    def difference(self, other: Draws, name: str) -> Interval:
        """Return ``self - other`` with its paired interval; both must have the same samples, groups and seed.

        The difference of two models that are right on the same samples is 0, with the width of the exact interval.
        """
        value = self.values[name] - other.values[name]
        slow = "bootstrap-slow" in (self.methods[name], other.methods[name])
        method = "bootstrap-slow" if slow else "bootstrap"
        if self is other:
            return Interval(value, value, value, method)
        draws, left_out = self._changes(other, name)
        support = min(
            self.supports.get(name, self.support), other.supports.get(name, other.support), key=attrgetter("effective")
        )
        effective = support.effective
        if left_out is not None and np.isfinite(left_out).all():
            influence = _effective_by_influence(left_out)
            effective = (min(effective, influence) + min(float(support.groups), influence)) / 2
        reach = self._reach(_error_of_change(draws, left_out, support), effective)
        low, high = value - reach, value + reach
        if scale_of(name) != "share":
            return Interval(value, low, high, method)
        if reach == 0 and abs(value) in (0.0, 1.0):
            bound = self._bound(support)
            low, high = (bound - 1, 1 - bound) if value == 0 else sorted((value, np.sign(value) * bound))
            method = "exact"
        return Interval(value, float(np.clip(low, -1, 1)), float(np.clip(high, -1, 1)), method)

    def difference_error(self, other: Draws, name: str) -> float:
        """Return the standard error of ``self - other``; NaN with a single group or too few defined resamples."""
        return _error_of_change(*self._changes(other, name), self.support)

    def _changes(self, other: Draws, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        size = min(len(self.draws[name]), len(other.draws[name]))
        mine, theirs = self.left_out.get(name), other.left_out.get(name)
        left_out = None if mine is None or theirs is None else mine - theirs
        return self.draws[name][:size] - other.draws[name][:size], left_out

    def _bound(self, support: Support) -> float:
        """Return the lower end of the exact interval of a share of 1."""
        tail = (1 - self.confidence) / 2
        return float(tail ** (1 / support.effective)) if support.effective else 0.0

    def _reach(self, error: float, effective: float) -> float:
        return error * float(stdtrit(max(effective - 1, 1.0), (1 + self.confidence) / 2))


def _error(draws: np.ndarray, left_out: np.ndarray | None, support: Support) -> float:
    """Return the larger of two standard errors: the jackknife's, and the bootstrap's corrected by sqrt(G / (G - 1))."""
    finite = draws[np.isfinite(draws)]
    if support.groups < 2 or 2 * finite.size < draws.size:
        return float("nan")
    error = float(finite.std() * np.sqrt(support.groups / (support.groups - 1)))
    return error if left_out is None else max(error, _jackknife(left_out))


def _error_of_change(draws: np.ndarray, left_out: np.ndarray | None, support: Support) -> float:
    """Return the jackknife's standard error of a difference, or that of `_error` if a metric without a group is NaN."""
    error = _error(draws, left_out, support)
    if left_out is None or not np.isfinite(left_out).all() or np.isnan(error):
        return error
    return _jackknife(left_out)


def _jackknife(left_out: np.ndarray) -> float:
    count = len(left_out)
    return float(np.sqrt((count - 1) / count * np.square(_influence(left_out)).sum())) if count else 0.0


def _influence(left_out: np.ndarray) -> np.ndarray:
    """Return how much each group moves a metric (G,); 0 if the metric is not defined without the group."""
    known = np.isfinite(left_out)
    return np.where(known, left_out - left_out[known].mean(), 0.0) if known.any() else np.zeros(len(left_out))


def _effective_by_influence(left_out: np.ndarray) -> float:
    """Return the number of groups of equal influence on a metric that equals these groups: 3 (sum d^2)^2 / sum d^4.

    It is the number of groups if their influences are normal, and about three times the number of errors if few samples
    are wrong.
    """
    squares = np.square(_influence(left_out))
    fourth = float(np.square(squares).sum())
    return 3 * float(squares.sum()) ** 2 / fourth if fourth else float("inf")
