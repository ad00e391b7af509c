"""The numbers that the project is held to, as recorded in docs/results.json: python -m tests.results.

    python -m tests.results              # show every number, its bar and its goal
    python -m tests.results --readme     # write the tables of the README files anew (make readme)

The commands that measure the numbers record them, with ``--record``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_text
from pipelines._stages.numbers import NUMBERS
from pipelines._stages.results import Result, read_results
from tests.results.readme import READMES, with_blocks
from tests.results.shown import cells

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Show the numbers, or write the tables of the README files; return 0, or 2 if a file is damaged."""
    parser = argparse.ArgumentParser("python -m tests.results", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--readme", action="store_true", help="write the tables of the README files anew")
    given = parser.parse_args(arguments)
    console = Console()
    try:
        results = read_results()
        if given.readme:
            for language, path in READMES.items():
                write_text(path, with_blocks(path.read_text("utf-8"), results, language))
                console.print(f"written: {path.name}", markup=False, highlight=False)
            return 0
        _show(results, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    return 0


def _show(results: Mapping[str, Result], console: Console) -> None:
    table = Table("name", "command", "result (95 % interval)", "bar", "goal", title="docs/results.json")
    for name in NUMBERS:
        _, command, *others, _ = cells(name, results)
        table.add_row(*map(Text, (name, command.strip("`"), *others)))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
