"""From a table to a verified bundle: mmkeras fit samples.csv --target answer.

Kinds and roles of the columns are inferred and shown with their reasons. The configuration is written to a file that
can be corrected, and run: ``mmkeras train FILE`` gives the same result again. In Python: ``mmkeras.fit``.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.data.columns.kinds import KINDS
from pipelines._table.pretrained import CHOICES
from pipelines._table.proposal import QUALITIES
from pipelines._table.request import ROLES, Request, write_configuration
from pipelines._table.time_plan import seconds_of, shown

__all__ = ["main"]

_KINDS = ", ".join(f"{name} ({what})" for name, what in KINDS.items())


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Infer the columns, write the configuration and run it; return the exit status."""
    given, further = _parser().parse_known_args(sys.argv[1:] if arguments is None else list(arguments))
    console, began = Console(), time.monotonic()
    try:
        request = Request(
            given.table,
            tuple(given.target),
            given.quality,
            tuple(given.ignore),
            dict(_pair(text, "--kind", "KIND") for text in given.kind),
            dict(_pair(text, "--role", "ROLE") for text in given.role),
            given.name,
            given.config,
            seconds_of(given.time_limit) if given.time_limit else None,
            given.pretrained,
        )
        file = write_configuration(request, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    if given.dry_run:
        console.print(f"Nothing was trained. Next: mmkeras train {shlex.quote(str(file))}")
        return 0
    from pipelines.table import main as run

    status = run(["--config", str(file), *further])
    if request.seconds is not None and status in (0, 1):
        used = time.monotonic() - began
        console.print(f"time limit {shown(request.seconds)}: {shown(used)} used", highlight=False)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mmkeras fit", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("table", type=Path, help="a .csv, .tsv, .jsonl or .parquet file, or a folder of class folders")
    parser.add_argument("--target", nargs="+", default=[], metavar="COLUMN", help="to predict; several of numbers")
    parser.add_argument(
        "--quality",
        choices=tuple(QUALITIES),
        default="",
        help="size of the model and of its training; fast by default, with --time-limit the largest that fits",
    )
    parser.add_argument(
        "--time-limit", metavar="TIME", help="of everything, such as 10m: measures a step and chooses size and epochs"
    )
    parser.add_argument(
        "--pretrained",
        choices=CHOICES,
        default="auto",
        help="frozen pretrained weights for pictures and texts; auto: with balanced and best, for tables of few rows",
    )
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    parser.add_argument("--kind", nargs="+", default=[], metavar="COLUMN=KIND", help=f"kinds: {_KINDS}")
    parser.add_argument("--role", nargs="+", default=[], metavar="COLUMN=ROLE", help=f"roles: {', '.join(ROLES)}")
    parser.add_argument("--name", default="", help="of the run and the bundle; the table's name when not given")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration to write; NAME.toml when not given")
    parser.add_argument("--dry-run", action="store_true", help="show and write the configuration, and end")
    parser.epilog = "Further options, such as --train.epochs 3, change the configuration of this run."
    return parser


def _pair(text: str, option: str, what: str) -> tuple[str, str]:
    name, mark, value = text.rpartition("=")
    if not mark:
        raise ConfigError(f"{option} {text}: expected COLUMN={what}")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
