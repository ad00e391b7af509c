"""How often 95 % intervals hold the truth, on simulated data in groups: python -m tests.coverage.

Every repetition draws groups of samples whose difficulty, labels and errors depend on the group, and scores two models
on them as an evaluation does. The truth is the metric on very many groups. A coverage of 95 % from 1,000 repetitions is
known to 0.7 points. Detection and several labels are slower and take a fifth of the repetitions.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.storage.files import write_json
from tests.coverage.grouped_data import PROBLEMS, group_sizes

__all__ = ["BAR", "SETTINGS", "Covered", "Setting", "coverage", "main"]

BAR = (0.93, 0.97)
"""Coverage that 95 % intervals should have."""
SLOW = ("detection", "several labels")
MANY = (4_000, 30_000)
"""Groups of several samples, and of one sample, that the truth is taken from."""
_RESAMPLES = 300


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
    many = MANY[setting.size == 1]
    truths = {name: interval[0] for name, interval in _evaluated(problem, setting, many, seed, resamples=2).items()}
    counts: dict[str, Counter[str]] = {name: Counter() for name in truths}
    widths: dict[str, list[float]] = {name: [] for name in truths}
    for repetition in range(repetitions):
        for name, (_, low, high) in _evaluated(problem, setting, setting.groups, seed + 1 + repetition).items():
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


def _evaluated(
    problem: str, setting: Setting, groups: int, seed: int, resamples: int = _RESAMPLES
) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high of every metric and of its difference between two models."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), group_sizes(rng, groups, setting.size))
    drawn = PROBLEMS[problem](rng, of, setting.spread)
    bootstrap = Bootstrap(resamples, seed=seed)
    ones = np.ones(len(of), np.float32)
    first, second = (bootstrap.score(drawn.task, drawn.targets, each, ones, of) for each in (drawn.first, drawn.second))
    found = {name: first.interval(name) for name in first.values}
    found |= {f"difference of {name}": second.difference(first, name) for name in first.values}
    return {name: (each.value, each.low, each.high) for name, each in found.items()}


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the coverage of every metric in every setting. Return the exit status: 1 where one is out of the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="evaluations to simulate in each setting")
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/coverage.json"))
    given = parser.parse_args(arguments)
    console = Console()
    try:
        if given.repetitions < 20:
            raise ConfigError(f"--repetitions: expected at least 20, got {given.repetitions}")
        result = {name: _problem(name, given.repetitions, given.seed, console) for name in given.problems}
        write_json(given.out, {"repetitions": given.repetitions, "seed": given.seed, "coverage": result})
    except MmkerasError as error:
        say(error, to=sys.stderr)
        return 2
    return 0 if _say(result, console) else 1


def _problem(name: str, repetitions: int, seed: int, console: Console) -> dict[str, dict[str, dict[str, float]]]:
    """Print the table of one problem and return it: setting -> metric -> what became of the intervals."""
    count = max(20, repetitions // 5) if name in SLOW else repetitions
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


def _cell(each: Covered, count: int) -> str:
    """Return a coverage, marked where it is out of the bar by more than two standard errors of the simulation."""
    doubt = 2 * np.sqrt(0.95 * 0.05 / count)
    mark = "-" if each.coverage < BAR[0] - doubt else "+" if each.coverage > BAR[1] + doubt else ""
    return f"{mark}{100 * each.coverage:.1f}"


def _say(result: dict[str, Any], console: Console) -> bool:
    every = [e["coverage"] for rows in result.values() for row in rows.values() for e in row.values()]
    inside = sum(BAR[0] <= each <= BAR[1] for each in every)
    below = sum(each < BAR[0] for each in every)
    console.print(
        f"{inside} of {len(every)} within {100 * BAR[0]:.0f} to {100 * BAR[1]:.0f} %, {below} below; mean "
        f"{100 * np.mean(every):.1f} %, least {100 * min(every):.1f} %, most {100 * max(every):.1f} %",
        highlight=False,
    )
    return inside == len(every)


if __name__ == "__main__":
    sys.exit(main())
