"""The numbers of docs/results.json: meaning, bar, goal and the command that measures each one.

A number must be declared here before a command can record it (`_stages.results.record`). Bars and goals are defined
only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["NUMBERS", "Number", "number"]


@dataclass(frozen=True)
class Number:
    """One number with its bar and goal."""

    meaning: str
    """First column of README's table."""
    unit: Literal["%", "points", "wrong", "min"]
    """Unit of value, interval, bar and goal; shares are in percent."""
    better: Literal["higher", "lower"]
    """Which direction is better; a value equal to the bar reaches it."""
    bar: float
    """What must be reached."""
    goal: float
    """What should be reached."""
    command: str
    """The command that measures and records it, unless `record` is given another."""
    counted: tuple[str, str] = ("", "")
    """Bar and goal as counts, for shares of few trials; README shows them beside the number."""

    def reaches(self, value: float, limit: float) -> bool:
        """Return whether a value is at least as good as a limit."""
        return value >= limit if self.better == "higher" else value <= limit


_COMPARISON = "python -m pipelines.camera_radar --compare.seeds 0 1 2 --compare.once '[\"radar_as_channels\"]' --record"
_MUTANTS = "make mutants"

NUMBERS: dict[str, Number] = {
    "vqa.accuracy": Number(
        "easy-VQA, official test split, 9,673 questions: accuracy", "%", "higher", 97, 99.5,
        "python -m pipelines.vqa --record",
    ),
    "camera_radar.fusion_gain": Number(
        "camera + radar, simulated: mAP of the fusion, minus that of the better single sensor",
        "points", "higher", 10, 20, _COMPARISON,
    ),
    "camera_radar.radar_dead": Number(
        "camera + radar, simulated: mAP of the fusion with the radar dead, minus that of the camera alone",
        "points", "higher", -2, 0, _COMPARISON,
    ),
    "mutants.int8.caught": Number(
        "planted faults caught by the export gate or the self-test, static int8", "%", "higher", 95, 99, _MUTANTS
    ),
    "mutants.other.caught": Number(
        "planted faults caught by the export gate or the self-test, all other precisions",
        "%", "higher", 99, 100, _MUTANTS,
    ),
    "mutants.honest_refused": Number(
        "honest exports of other seeds that are refused by chance", "%", "lower", 100 / 30, 0, _MUTANTS,
        counted=("1 of 30", "0 of 100"),
    ),
    "threads.wrong": Number(
        "one Predictor under 8 threads: wrong answers and foreign errors in 100,000 answers, summed over all runners",
        "wrong", "lower", 0, 0, "python -m tests.threads --record",
    ),
    "coverage.inside": Number(
        "95 % intervals on simulated groups: metrics and settings whose coverage is compatible with 93 to 97 %",
        "%", "higher", 100, 100, "python -m tests.coverage --record",
    ),
    "fit.kinds": Number(
        "columns of 30 table layouts, written with the rules, whose kind and role mmkeras fit infers rightly",
        "%", "higher", 95, 100, "python -m tests.data.columns.layouts --record",
    ),
    "fit.minutes": Number(
        "from an empty environment and the wheel to a verified bundle: 1,000 rows with a picture, a text and numbers",
        "min", "lower", 5, 2, "python -m tests.bench.first_bundle --record",
    ),
}  # fmt: skip


def number(name: str) -> Number:
    """Return a declared number.

    Raises:
        ConfigError: no such name; the message suggests the nearest.
    """
    if name not in NUMBERS:
        raise ConfigError(f"There is no number {name!r} in pipelines/_stages/numbers.py; {nearest(name, NUMBERS)}")
    return NUMBERS[name]
