"""A script of sensor faults and their times, read from lines, a text file or TOML.

::

    kill radar at 3 s            revive radar at 6 s
    delay camera 150 ms from 2 s to 5 s
    jitter camera 80 ms          each message is late by 0 to 80 ms, so some overtake others
    drop 50 % radar              half of the messages are lost
    freeze camera from 2 s       the picture no longer changes
    corrupt camera at 4 s        one message is damaged; every other point of a radar becomes NaN
    repeat radar                 each message is sent twice
    jump clock 10 s at 3 s       the sensors' timestamps jump from then on

A sensor is ``camera``, ``radar`` (all of them) or a channel such as ``RADAR_FRONT``. ``from`` and ``to`` may be left
out. Times count from the start of the replay. A TOML file holds the same lines: ``faults = ["kill radar at 3 s"]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["FORMS", "Fault", "parse_fault", "parse_faults", "read_faults"]

FORMS = {
    "kill": "kill SENSOR at TIME",
    "revive": "revive SENSOR at TIME",
    "delay": "delay SENSOR DURATION [from TIME] [to TIME]",
    "jitter": "jitter SENSOR DURATION [from TIME] [to TIME]",
    "drop": "drop PERCENT % SENSOR [from TIME] [to TIME]",
    "freeze": "freeze SENSOR [from TIME] [to TIME]",
    "corrupt": "corrupt SENSOR [at TIME | from TIME to TIME]",
    "repeat": "repeat SENSOR [from TIME] [to TIME]",
    "jump": "jump clock DURATION at TIME",
}

_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000}
_MOST = 1e12
"""Microseconds of a time or duration: more than a week."""
_LONGEST = 400
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_TIME = re.compile(rf"({_NUMBER})\s*({'|'.join(_UNITS)})\b", re.IGNORECASE)
_SHARE = re.compile(rf"({_NUMBER})\s*%")
_SENSOR = re.compile(r"camera\b|radar\b|[A-Z]+_[A-Z0-9_]+\b", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """One fault; times in microseconds from the start of the replay."""

    kind: str
    """A key of `FORMS`."""
    sensor: str
    """``camera``, ``radar``, a channel in capitals, or ``clock``."""
    begin: int = 0
    end: int | None = None
    """None for never."""
    amount: float = 0.0
    """Microseconds of a delay, jitter or jump; share of a drop."""
    once: bool = False
    """Affects only the first message of each sensor from ``begin`` on."""
    text: str = ""

    def concerns(self, sensor: str, channel: str) -> bool:
        """Return whether it affects a sensor of a kind (``camera`` or ``radar``) and channel."""
        return self.sensor in ("clock", sensor, channel.upper())

    def active(self, moment: int) -> bool:
        """Return whether it is active at a moment."""
        return self.begin <= moment and (self.end is None or moment < self.end)


def parse_fault(text: str, where: str = "fault") -> Fault:
    """Parse a line such as ``kill radar at 3 s``; ``where`` names its place in error messages.

    Raises:
        ConfigError: another form than `FORMS`.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"{where}: {text[:60]!r}...: expected a line of at most {_LONGEST} characters")
    line = _Line(text, where)
    kind = line.word()
    if kind not in FORMS:
        raise ConfigError(f"{where}: {text.strip()!r}: there is no fault {kind!r}; {nearest(kind, FORMS)}")
    line.form = FORMS[kind]
    amount = line.share() if kind == "drop" else 0.0
    sensor = "clock" if kind == "jump" else line.sensor()
    if kind == "jump":
        line.expect("clock")
    if kind in ("delay", "jitter", "jump"):
        amount = float(line.duration("a duration such as 150 ms", negative=kind == "jump"))
    once = kind == "corrupt" and line.take("at")
    begin, end = (line.duration("a time such as 4 s"), None) if once else line.span(kind)
    if line.rest:
        raise line.fail("the end of the line")
    return Fault(kind, sensor, begin, end, amount, once, " ".join(text.split()))


def parse_faults(lines: Iterable[str], where: str = "fault") -> list[Fault]:
    """Parse lines; empty lines and comments after a ``#`` are ignored.

    Raises:
        ConfigError: lists every wrong line with its number.
    """
    faults, problems = [], []
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        try:
            faults.append(parse_fault(text, f"{where}:{number}"))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return faults


def read_faults(path: str | Path) -> list[Fault]:
    """Read a script of faults: a ``.toml`` file with a list ``faults``, or a text file of lines.

    Raises:
        ConfigError: no such file, no such list, or wrong lines.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a script of faults: {error}") from error
    if path.suffix != ".toml":
        return parse_faults(text.splitlines(), str(path))
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError among them
        raise ConfigError(f"{path}: not TOML: {error}") from error
    unknown = [key for key in value if key != "faults"]
    lines = value.get("faults")
    if unknown or not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ConfigError(
            f'{path}: expected one key, faults = ["kill radar at 3 s", ...], a list of lines; '
            f"got {', '.join(value) or 'nothing'}"
        )
    return parse_faults(lines, f"{path}: faults")


class _Line:
    """A line and the part of it that is not parsed yet."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.rest = text.strip(), where, text.strip()
        self.form = ""

    def fail(self, expected: str, rest: str | None = None) -> ConfigError:
        rest = self.rest if rest is None else rest
        got = repr(rest) if rest else "the end of the line"
        return ConfigError(f"{self.where}: {self.text!r}: expected {expected}, got {got}. Form: {self.form}")

    def match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self.rest)
        if not found:
            raise self.fail(expected)
        self.rest = self.rest[found.end() :].lstrip()
        return found

    def word(self) -> str:
        head, _, self.rest = self.rest.partition(" ")
        self.rest = self.rest.lstrip()
        return head.lower()

    def take(self, word: str) -> bool:
        if self.rest.lower().split()[:1] != [word]:
            return False
        self.rest = self.rest[len(word) :].lstrip()
        return True

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise self.fail(repr(word))

    def sensor(self) -> str:
        name = self.match(_SENSOR, "camera, radar or a channel such as RADAR_FRONT")[0]
        return name.lower() if name.lower() in ("camera", "radar") else name.upper()

    def duration(self, expected: str, *, negative: bool = False) -> int:
        before = self.rest
        number, unit = self.match(_TIME, expected).groups()
        if float(number) < 0 and not negative:
            raise self.fail(f"{expected}, not negative", before)
        moment = float(number) * _UNITS[unit.lower()]
        if not abs(moment) <= _MOST:
            raise self.fail(f"{expected}, within {_MOST / 1e6:.0f} s", before)
        return round(moment)

    def share(self) -> float:
        before = self.rest
        percent = float(self.match(_SHARE, "a share such as 50 %")[1])
        if not 0 <= percent <= 100:
            raise self.fail("0 % to 100 %", before)
        return percent / 100

    def span(self, kind: str) -> tuple[int, int | None]:
        if kind in ("kill", "revive", "jump"):
            self.expect("at")
            return self.duration("a time such as 3 s"), None
        begin = self.duration("a time such as 2 s") if self.take("from") else 0
        end = self.duration("a time such as 5 s") if self.take("to") else None
        if end is not None and end <= begin:
            raise ConfigError(f"{self.where}: {self.text!r}: expected an end after the beginning. Form: {self.form}")
        return begin, end
