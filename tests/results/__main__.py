"""The numbers that the project is held to, as recorded in docs/results.json: python -m tests.results.

    python -m tests.results              # show every number, its bar and its goal
    python -m tests.results --readme     # write README's table anew (make readme)

The commands that measure the numbers record them, with ``--record``. The table stands between two markers in README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_text
from pipelines._stages.numbers import NUMBERS, Number
from pipelines._stages.results import RESULTS, Result, read_results

__all__ = ["BEGIN", "END", "README", "block", "main", "with_block"]

README = RESULTS.parents[1] / "README.md"
"""The file in the checkout."""
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
"""What stands between them in README is written by this command."""
_HEADINGS = ("what", "command", "result (95 % interval)", "bar", "goal", "measured")
_DIGITS = {"%": 2, "points": 1, "wrong": 0}
_MOST_DIGITS = 6


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Show the numbers, or write README's table; return 0, or 2 where a file is damaged."""
    parser = argparse.ArgumentParser("python -m tests.results", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--readme", action="store_true", help="write README's table anew")
    given = parser.parse_args(arguments)
    console = Console()
    try:
        results = read_results()
        if given.readme:
            write_text(README, with_block(README.read_text("utf-8"), results))
            console.print(f"written: {README.name}", markup=False, highlight=False)
            return 0
        _show(results, console)
    except MmkerasError as error:
        Console(stderr=True).print(f"{type(error).__name__}: {error}", style="bold red", markup=False, highlight=False)
        return 2
    return 0


def with_block(text: str, results: Mapping[str, Result]) -> str:
    """Return README's text with the table of the results between its markers.

    Raises:
        ConfigError: the text does not hold each marker once, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or text.count(BEGIN) > 1 or text.count(END) > 1:
        raise ConfigError(f"README.md: expected one line {BEGIN} and one line {END} below it. Restore them from git")
    return f"{before}{block(results)}{after}"


def block(results: Mapping[str, Result]) -> str:
    """Return README's table with its markers: every declared number, measured or not."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for cells in _rows(results):
        what, command, *others = (cell.replace("|", r"\|") for cell in cells)
        rows.append((what, f"`{command}`" if command else "", *others))
    return "\n".join([BEGIN, *(f"| {' | '.join(row)} |" for row in rows), END])


def _show(results: Mapping[str, Result], console: Console) -> None:
    table = Table("name", *_HEADINGS[1:-1], title="docs/results.json", title_justify="left")
    for (name, number), (_, command, *others, _) in zip(NUMBERS.items(), _rows(results), strict=True):
        table.add_row(*map(Text, (name, command or number.command, *others)))
    console.print(table)


def _rows(results: Mapping[str, Result]) -> Iterator[tuple[str, ...]]:
    for name, number in NUMBERS.items():
        limits = tuple(
            _limit(limit, number.unit) + (f" ({count})" if count else "")
            for limit, count in zip((number.bar, number.goal), number.counted, strict=True)
        )
        if (result := results.get(name)) is None:
            # Without a command: one that has recorded nothing here may not exist yet.
            yield (number.meaning, "", "not measured yet", *limits, "")
            continue
        measured = f"{result.date[:10]}, {_short(result.commit)}, {result.machine}"
        yield (number.meaning, result.command, _value(result, number), *limits, measured)


def _value(result: Result, number: Number) -> str:
    text = f"{_shown(result.value, number)} {number.unit}"
    if result.low is not None and result.high is not None:
        text += f" ({_shown(result.low, number)} to {_shown(result.high, number)})"
    return text if number.reaches(result.value, number.bar) else f"{text}, **bar not reached**"


def _shown(value: float, number: Number) -> str:
    """Round a value, but never onto a limit or an end of the scale that it does not reach: 99.997 is not 100.00."""
    ends = {number.bar, number.goal, 0.0, 100.0}
    digits = _DIGITS[number.unit]
    while digits < _MOST_DIGITS and round(value, digits) != value and round(value, digits) in ends:
        digits += 1
    return f"{value:+.{digits}f}" if number.unit == "points" and value else f"{value:.{digits}f}"


def _limit(value: float, unit: str) -> str:
    shown = f"{round(value, 2):g}"
    return f"{'+' if unit == 'points' and value > 0 else ''}{shown} {unit}"


def _short(commit: str) -> str:
    revision, plus, changes = commit.partition("+")
    return f"{revision[:7]}{plus}{changes}"


if __name__ == "__main__":
    sys.exit(main())
