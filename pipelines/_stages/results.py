"""docs/results.json: the numbers with bars and goals, each written by the command that measured it.

    from pipelines._stages.results import record

    record("vqa.accuracy", 99.97, low=99.93, high=100.0)                  # measured just now, by the declared command
    record("threads.wrong", 0, command="make threads")                    # by another command
    record("vqa.accuracy", 99.97, origin=Origin.of_run(run.provenance))   # measured earlier, by a run

Units, bars and goals are declared in `pipelines._stages.numbers`. Schema: mmkeras/schemas/results.schema.json.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmkeras.core.errors import ConfigError
from mmkeras.core.typed import read_json
from mmkeras.storage.files import locked, write_json
from mmkeras.training.environment import code_revision, machine
from pipelines._stages.numbers import number

__all__ = ["RESULTS", "ExportedFile", "Figure", "Origin", "Result", "describe_machine", "read_results", "record"]

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results.json"
"""The file in the checkout."""
_ROUNDING = 1e-6
"""Rounding error by which a sum of weights may exceed 100 %."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where and when a number was measured."""

    commit: str
    """Git revision of the code, with ``+changes`` if files differed from it."""
    machine: str
    """Cores, architecture, processor, memory and GPUs; no host name."""
    date: str
    """ISO 8601, UTC."""

    @classmethod
    def here(cls) -> Origin:
        """Return this checkout, this machine and this moment."""
        now = datetime.datetime.now(datetime.timezone.utc)
        return cls(code_revision(), describe_machine(machine()), now.isoformat(timespec="seconds"))

    @classmethod
    def of_run(cls, provenance: Mapping[str, Any]) -> Origin:
        """Return where and when a run was made.

        Args:
            provenance: content of run.json, or ``provenance`` of metrics.json.

        Raises:
            ConfigError: a key is missing.
        """
        try:
            return cls(provenance["code_revision"], describe_machine(provenance["machine"]), provenance["created"])
        except KeyError as error:
            raise ConfigError(f"run.json: expected the key {error}, got none. Record from a new run") from error


class Figure(NamedTuple):
    """A measured number in its declared unit, before it is recorded."""

    value: float
    low: float | None = None
    """Lower end of the 95 % interval; None without an interval."""
    high: float | None = None
    """Upper end of the 95 % interval; None without an interval."""

    @classmethod
    def percent(cls, interval: Mapping[str, Any]) -> Figure:
        """Return an interval of metrics.json in percent or points."""
        low, high = (None if interval[end] is None else 100 * interval[end] for end in ("low", "high"))
        return cls(100 * interval["value"], low, high)


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """One file of a run's export, as the gate judged it."""

    format: str
    precision: str
    bytes: int
    accepted: bool
    metric_change: float | None
    """Change of the task's metric against the Keras model, with all modalities; a share of 0.01 is one point."""
    flips: int | None
    """Changed decisions, in all modality scenarios together."""
    answers: int
    """Answers that were compared in these scenarios."""

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> ExportedFile:
        """Return an entry of ``files`` of export.json.

        Raises:
            ConfigError: a key is missing.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "answers"]
        try:
            answers = sum(scenario["samples"] for scenario in file["scenarios"].values())
            return cls(**{name: file[name] for name in names}, answers=answers)
        except KeyError as error:
            raise ConfigError(f"export.json: expected the key {error} of each file, got none. Export again") from error


@dataclasses.dataclass(frozen=True)
class Result:
    """One entry of docs/results.json: a `Figure` with its bar and goal, and how it was measured."""

    value: float
    low: float | None
    high: float | None
    bar: float | None
    goal: float | None
    command: str
    commit: str
    machine: str
    date: str
    files: tuple[ExportedFile, ...] = ()
    """The exported files of the measured run."""


def record(
    name: str,
    value: float,
    *,
    low: float | None = None,
    high: float | None = None,
    command: str = "",
    origin: Origin | None = None,
    files: Sequence[ExportedFile] = (),
    file: Path | None = None,
) -> Result:
    """Write a number into docs/results.json and keep the other numbers; wait while another command writes.

    Args:
        name: declared in `pipelines._stages.numbers`.
        value: in the declared unit; a share in percent (99.97, not 0.9997).
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        command: the command that measured it; the declared command by default.
        origin: where and when it was measured; here and now by default.
        files: the exported files of the measured run.
        file: where to write; `RESULTS` by default.

    Raises:
        ConfigError: no such name, or invalid values.
    """
    declared = number(name)
    value, low, high = float(value), None if low is None else float(low), None if high is None else float(high)
    _check(name, declared.unit, value, low, high)
    origin = origin or Origin.here()
    bar, goal = (None if limit is None else float(limit) for limit in (declared.bar, declared.goal))
    given = dataclasses.asdict(origin)
    result = Result(value, low, high, bar, goal, command or declared.command, **given, files=tuple(files))
    file = file or RESULTS
    file.parent.mkdir(parents=True, exist_ok=True)
    # Each command reads the whole file before it writes the whole file.
    with locked(file.with_name(f".{file.name}.lock"), "which records a number"):
        known = {**read_results(file), name: result}
        write_json(file, {each: _to_json(known[each]) for each in sorted(known)})
    return result


def read_results(file: Path | None = None) -> dict[str, Result]:
    """Return the recorded numbers by name; {} without a file.

    Raises:
        ConfigError: the file is damaged.
    """
    file = file or RESULTS
    hint = "Restore it from git, then record again"
    try:
        return {name: _of_json(entry) for name, entry in read_json(file, ConfigError, hint).items()}
    except FileNotFoundError:
        return {}
    except TypeError as error:
        raise ConfigError(
            f"{file}: expected the keys of mmkeras/schemas/results.schema.json: {error}. {hint}"
        ) from error


def _to_json(result: Result) -> dict[str, Any]:
    entry = dataclasses.asdict(result)
    if not result.files:
        del entry["files"]
    return entry


def _of_json(entry: Mapping[str, Any]) -> Result:
    return Result(**{**entry, "files": tuple(ExportedFile(**file) for file in entry.get("files", ()))})


def describe_machine(known: Mapping[str, Any]) -> str:
    """Describe a machine from `mmkeras.training.environment.machine` in one line; older runs lack memory and GPUs."""
    parts = [f"{known['cores']} cores", str(known["architecture"]), str(known["cpu"])]
    if known.get("memory_gib"):
        parts.append(f"{known['memory_gib']} GiB")
    if "gpus" in known:
        parts.append(" + ".join(known["gpus"]) or "no GPU")
    return ", ".join(parts)


def _check(name: str, unit: str, value: float, low: float | None, high: float | None) -> None:
    given = [value, *(end for end in (low, high) if end is not None)]
    if not all(math.isfinite(each) for each in given):
        raise ConfigError(f"{name}: expected finite numbers, got {value} ({low} to {high})")
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise ConfigError(f"{name}: expected both ends of an interval, the lower first, or none, got {low} to {high}")
    if unit == "%" and not all(0 <= each <= 100 + _ROUNDING for each in given):
        raise ConfigError(f"{name}: expected percent between 0 and 100, got {value} ({low} to {high})")
