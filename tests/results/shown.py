"""The recorded numbers as text: with unit and interval, in a sentence or in a table of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines._stages.number import Number
from pipelines._stages.numbers import number
from pipelines._stages.results import Result

__all__ = ["NOT_MEASURED", "cells", "files_table", "interval", "markdown_table", "numbers_table", "size", "value"]

NOT_MEASURED = "not measured yet"
_HEADINGS = ("what", "command", "result (95 % interval)", "bar", "goal", "measured")
_DIGITS = {"MCC": 3, "points": 1, "wrong": 0, "failures": 0, "s": 1, "ms": 2, "min": 1}
"""Digits after the point by unit; two by default."""
_MOST_DIGITS = 6
_UNITS = {"x": "", "relative": "", "MCC": ""}
"""Units that are not shown: the meaning of the number names them."""
_FORMATS = {"saved_model": "SavedModel", "tflite": "LiteRT", "onnx": "ONNX"}


def value(name: str, results: Mapping[str, Result]) -> str:
    """Return a number with its unit, or that it is not measured yet.

    Raises:
        ConfigError: no number has this name.
    """
    declared = number(name)
    result = results.get(name)
    return NOT_MEASURED if result is None else _with_unit(_shown(result.value, declared), declared)


def interval(name: str, results: Mapping[str, Result]) -> str:
    """Return a number with its unit and, if it has one, its 95 % interval.

    Raises:
        ConfigError: no number has this name.
    """
    declared, result = number(name), results.get(name)
    if result is None or result.low is None or result.high is None:
        return value(name, results)
    return f"{value(name, results)} ({_shown(result.low, declared)} to {_shown(result.high, declared)})"


def cells(name: str, results: Mapping[str, Result]) -> tuple[str, ...]:
    """Return the row of a number in `numbers_table`.

    Raises:
        ConfigError: no number has this name.
    """
    declared, result = number(name), results.get(name)
    limits = tuple(
        _limit(limit, declared) + (f" ({count})" if count else "")
        for limit, count in zip((declared.bar, declared.goal), declared.counted, strict=True)
    )
    if result is None:
        return (declared.meaning, f"`{declared.command}`", NOT_MEASURED, *limits, "")
    text = interval(name, results)
    judged = result.low if declared.whole and result.low is not None else result.value
    text = text if declared.reaches(judged, declared.bar) else f"{text}, **bar not reached**"
    measured = f"{result.date[:10]}, {_short(result.commit)}, {result.machine}"
    return (declared.meaning, f"`{result.command}`", text, *limits, measured)


def numbers_table(names: Iterable[str], results: Mapping[str, Result]) -> str:
    """Return a table of numbers: meaning, command, result, bar, goal, and where and when it was measured."""
    return markdown_table(_HEADINGS, (cells(name, results) for name in names))


def size(pipeline: str, format: str, precision: str, results: Mapping[str, Result]) -> str:
    """Return the size of a pipeline's accepted file in MB of 1,000,000 bytes, or that there is none.

    Raises:
        ConfigError: the pipeline has no number ``<pipeline>.minutes``.
    """
    number(f"{pipeline}.minutes")
    if (result := results.get(f"{pipeline}.minutes")) is None:
        return NOT_MEASURED
    found = [file for file in result.files if (file.format, file.precision) == (format, precision)]
    if not found:
        return "not exported"
    return _megabytes(found[0].bytes) if found[0].accepted else "refused"


def files_table(pipelines: Iterable[str], results: Mapping[str, Result]) -> str:
    """Return a table of exported files: gate, size, change of the metric and changed decisions against Keras."""
    headings = ("pipeline", "file", "gate", "size", "change of the metric", "changed decisions")
    rows: list[tuple[str, ...]] = []
    for name in pipelines:
        number(f"{name}.minutes")
        result = results.get(f"{name}.minutes")
        if result is None or not result.files:
            rows.append((f"`{name}`", NOT_MEASURED, "", "", "", ""))
            continue
        for file in result.files:
            change = "" if file.metric_change is None else f"{file.metric_change:+.4f}"
            flips = "" if file.flips is None else f"{file.flips:,} of {file.answers:,}"
            gate = "accepted" if file.accepted else "**refused**"
            said = f"{_FORMATS.get(file.format, file.format)} {file.precision}"
            rows.append((f"`{name}`", said, gate, _megabytes(file.bytes), change, flips))
    return markdown_table(headings, rows)


def markdown_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown; line breaks and pipes in a cell do not end it."""
    headings = tuple(headings)
    lines = [headings, ("---",) * len(headings)]
    lines += [tuple(" ".join(cell.split()).replace("|", r"\|") for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def _shown(figure: float, declared: Number) -> str:
    """Round a value, but never onto a limit or an end of the scale that it does not reach: 99.997 is not 100.00."""
    if declared.unit == "relative":
        return f"{figure:.1e}"
    ends = {declared.bar, declared.goal, 0.0, 100.0}
    digits = _DIGITS.get(declared.unit, 2)
    while digits < _MOST_DIGITS and round(figure, digits) != figure and round(figure, digits) in ends:
        digits += 1
    return f"{figure:+.{digits}f}" if declared.unit == "points" and figure else f"{figure:.{digits}f}"


def _limit(limit: float | None, declared: Number) -> str:
    if limit is None:
        return ""
    shown = f"{limit:g}" if declared.unit == "relative" else f"{round(limit, 2):g}"
    return _with_unit(f"{'+' if declared.unit == 'points' and limit > 0 else ''}{shown}", declared)


def _with_unit(shown: str, declared: Number) -> str:
    return f"{shown} {_UNITS.get(declared.unit, declared.unit)}".rstrip()


def _short(commit: str) -> str:
    revision, plus, changes = commit.partition("+")
    return f"{revision[:7]}{plus}{changes}"
