"""How often 95 % intervals hold the truth, on simulated data in groups: python -m tests.coverage.

    python -m tests.coverage                                                # everything, about 20 minutes
    python -m tests.coverage --problems regression --repetitions 5000       # one problem, more exactly
    python -m tests.coverage --record                                       # also writes docs/results.json

Every repetition draws groups of samples whose difficulty, labels and errors depend on the group, and scores two models
on them as an evaluation does. The truth is the metric on very many groups.

The coverage of R repetitions is a number with an error of its own: 1.3 points (one standard error) from 300, 0.7 from
1,000. A true 95 % is measured outside 93 to 97 % in 11 % of the settings with 300 repetitions. A setting is therefore
called a miss where even the 99 % Clopper-Pearson interval of its coverage lies outside 93 to 97 %. The fewer the
repetitions, the larger the misses that remain unseen: the command also prints how many coverages were measured inside
and from which coverage on a setting counts as a miss.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from rich.table import Table
from scipy.special import betaincinv

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.storage.files import write_json
from pipelines._stages.results import record
from tests.coverage.grouped_data import PROBLEMS, Evaluation, group_sizes

__all__ = ["BAR", "SETTINGS", "Covered", "Setting", "coverage", "main", "verdict"]

BAR = (0.93, 0.97)
"""Coverage that 95 % intervals should have."""
CERTAINTY = 0.99
"""Confidence that a coverage is outside the bar, before a setting is called a miss."""
RECORDED = 1000
"""Repetitions that a recorded number needs."""
SLOW = ("detection",)
"""Problems that take a fifth of the repetitions."""
MANY = (40_000, 300_000)
"""Groups of several samples, and of one sample, that the truth is taken from; half as many of a slow problem."""


@dataclass(frozen=True)
class Setting:
    """How the samples of an evaluation come."""

    groups: int
    """Groups in it."""
    size: float
    """Samples in a group on average; with 1 every sample is a group of its own."""
    spread: float
    """How much groups differ; 0 for not at all."""

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"{self.groups} x {self.size:g}" if self.size > 1 else f"{self.groups} alone"


SETTINGS = (*(Setting(groups, 8, 1.0) for groups in (10, 20, 50, 150)), Setting(100, 1, 0.0), Setting(500, 1, 0.0))
"""What is simulated: few and many groups of about 8 samples, and samples without groups."""


@dataclass(frozen=True)
class Covered:
    """What became of the intervals of one metric in one setting."""

    truth: float
    """The metric, or difference of two models' metrics, on very many groups."""
    coverage: float
    """Share of the intervals that hold it."""
    above: float
    """Share of the intervals that lie above it."""
    below: float
    """Share of the intervals that lie below it."""
    width: float
    """Median width."""


def coverage(problem: str, setting: Setting, repetitions: int, seed: int = 0) -> dict[str, Covered]:
    """Return how often intervals hold the truth, by metric; that of ``difference of <metric>`` is of two models.

    Args:
        problem: one of `PROBLEMS`.
        setting: how the samples come.
        repetitions: evaluations to simulate.
        seed: of everything that is drawn.
    """
    many = MANY[setting.size == 1] // (2 if problem in SLOW else 1)
    truths = _truth(problem, Setting(many, setting.size, setting.spread), seed)
    counts: dict[str, Counter[str]] = {name: Counter() for name in truths}
    widths: dict[str, list[float]] = {name: [] for name in truths}
    for repetition in range(repetitions):
        for name, (_, low, high) in _evaluated(problem, setting, seed, repetition).items():
            truth = truths[name]
            counts[name]["above" if low > truth else "below" if high < truth else "held"] += 1
            widths[name].append(high - low)
    return {
        name: Covered(
            truth=truth,
            coverage=counts[name]["held"] / repetitions,
            above=counts[name]["above"] / repetitions,
            below=counts[name]["below"] / repetitions,
            width=float(np.median(widths[name])),
        )
        for name, truth in truths.items()
    }


def verdict(held: int, repetitions: int) -> int:
    """Return 0 where a coverage may be within the bar, -1 where it is surely below and 1 where it is surely above.

    Args:
        held: intervals that hold the truth.
        repetitions: intervals in all.
    """
    tail, missed = (1 - CERTAINTY) / 2, repetitions - held
    # The ends of the Clopper-Pearson interval.
    low = betaincinv(held, missed + 1, tail) if held else 0.0
    high = betaincinv(held + 1, missed, 1 - tail) if missed else 1.0
    return -1 if high < BAR[0] else int(low > BAR[1])


def _drawn(problem: str, setting: Setting, rng: np.random.Generator) -> tuple[Evaluation, np.ndarray]:
    """Return an evaluation and the group of each of its samples (N,)."""
    of = np.repeat(np.arange(setting.groups), group_sizes(rng, setting.groups, setting.size))
    return PROBLEMS[problem](rng, of, setting.spread), of


@cache
def _truth(problem: str, setting: Setting, seed: int) -> dict[str, float]:
    """Return every metric and its difference between two models; settings that differ in their groups share it."""
    drawn, _ = _drawn(problem, setting, np.random.default_rng([seed, 0]))
    first, second = (drawn.task.score(drawn.targets, each) for each in (drawn.first, drawn.second))
    return first | {f"difference of {name}": second[name] - first[name] for name in first}


def _evaluated(problem: str, setting: Setting, seed: int, repetition: int) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high of every metric and of its difference between two models."""
    drawn, of = _drawn(problem, setting, np.random.default_rng([seed, 1 + repetition]))
    bootstrap = Bootstrap(seed=repetition)
    ones = np.ones(len(of), np.float32)
    first, second = (
        bootstrap.score(drawn.task, drawn.task.evidence(drawn.targets, each), ones, of)
        for each in (drawn.first, drawn.second)
    )
    found = {name: first.interval(name) for name in first.values}
    found |= {f"difference of {name}": second.difference(first, name) for name in first.values}
    return {name: (each.value, each.low, each.high) for name, each in found.items()}


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the coverage of every metric in every setting. Return the exit status: 1 where one misses the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="evaluations to simulate in each setting")
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="write coverage.inside to docs/results.json")
    parser.add_argument("--out", type=Path, default=Path("runs/coverage.json"))
    given = parser.parse_args(arguments)
    console = Console()
    try:
        if given.repetitions < 20:
            raise ConfigError(f"--repetitions: expected at least 20, got {given.repetitions}")
        if given.record and (set(given.problems) != set(PROBLEMS) or given.repetitions < RECORDED):
            raise ConfigError(f"--record: expected all problems and at least {RECORDED} repetitions")
        result = {name: _problem(name, given.repetitions, given.seed, console) for name in given.problems}
        write_json(given.out, {"repetitions": given.repetitions, "seed": given.seed, "coverage": result})
        share = _say(result, given.repetitions, console)
        if given.record:
            record("coverage.inside", 100 * share)
    except MmkerasError as error:
        say(error, to=sys.stderr)
        return 2
    return int(share < 1)


def _problem(name: str, repetitions: int, seed: int, console: Console) -> dict[str, dict[str, dict[str, float]]]:
    """Print the table of one problem and return it: setting -> metric -> what became of the intervals."""
    count = _count(name, repetitions)
    found = {
        setting.name: coverage(name, setting, count, seed)
        for setting in track(SETTINGS, name, console=console, transient=True)
    }
    table = Table(title=f"{name}: coverage of 95 % intervals in %, {count} repetitions", title_justify="left")
    table.add_column("metric")
    for setting in found:
        table.add_column(setting, justify="right")
    for metric in next(iter(found.values())):
        table.add_row(metric.replace("_", " "), *(_cell(each[metric], count) for each in found.values()))
    console.print(table)
    return {setting: {metric: vars(each) for metric, each in row.items()} for setting, row in found.items()}


def _count(problem: str, repetitions: int) -> int:
    return max(20, repetitions // 5) if problem in SLOW else repetitions


def _cell(each: Covered, count: int) -> str:
    """Return a coverage, marked where it misses the bar."""
    return f"{('', '+', '-')[_verdict(each.coverage, count)]}{100 * each.coverage:.1f}"


def _verdict(share: float, count: int) -> int:
    return verdict(round(share * count), count)


def _say(result: dict[str, Any], repetitions: int, console: Console) -> float:
    """Print the misses and a summary; return the share of the coverages that are no miss."""
    every = [
        (each["coverage"], _verdict(each["coverage"], _count(problem, repetitions)), f"{problem}, {setting}: {metric}")
        for problem, rows in result.items()
        for setting, row in rows.items()
        for metric, each in row.items()
    ]
    bar = f"{100 * BAR[0]:.0f} to {100 * BAR[1]:.0f} %"
    for share, miss, name in sorted(every):
        if miss:
            console.print(f"{'below' if miss < 0 else 'above'} {bar}: {name}, {100 * share:.1f} %", highlight=False)
    for count in sorted({_count(problem, repetitions) for problem in result}):
        fair = [held / count for held in range(count // 2, count + 1) if not verdict(held, count)]
        console.print(
            f"{count} repetitions: a miss is a coverage below {100 * fair[0]:.1f} or above {100 * fair[-1]:.1f} %",
            highlight=False,
        )
    shares = [share for share, _, _ in every]
    low, high = (sum(miss == side for _, miss, _ in every) for side in (-1, 1))
    console.print(
        f"{len(every) - low - high} of {len(every)} compatible with {bar}, {low} below, {high} above; measured inside "
        f"{sum(BAR[0] <= share <= BAR[1] for share in shares)}; mean {100 * np.mean(shares):.1f} %, "
        f"least {100 * min(shares):.1f} %, most {100 * max(shares):.1f} %",
        highlight=False,
    )
    return 1 - (low + high) / len(every)


if __name__ == "__main__":
    sys.exit(main())
