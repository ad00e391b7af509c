"""From a table to a verified bundle: mmkeras fit samples.csv --target answer.

Kinds and roles of the columns are inferred and shown with their reasons. The configuration is written to a file that
can be corrected, and run: ``mmkeras train FILE`` gives the same result again.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tomlkit
from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError, MmkerasError, nearest
from mmkeras.core.terminal import utf8_program
from mmkeras.data.columns.cautions import cautions
from mmkeras.data.columns.kinds import KINDS, Kind, kind_of_column
from mmkeras.data.columns.roles import Role, Target, roles_of, target_of
from mmkeras.storage.files import write_text
from pipelines._table.proposal import QUALITIES, propose
from pipelines._table.reading import Columns, class_folders, read_columns

__all__ = ["main"]

_ROLES = ("input", "split", "group", "weight", "key", "unused")
_KINDS = ", ".join(f"{name} ({what})" for name, what in KINDS.items())
_HEAD = """# Written by mmkeras fit from {path}. Correct it, and run it again with: mmkeras train {file}
# Every key and its help: python -m pipelines.table --config {file} --help

"""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Infer the columns, write the configuration and run it; return the exit status."""
    given, further = _parser().parse_known_args(sys.argv[1:] if arguments is None else list(arguments))
    console = Console()
    try:
        file = _write(given, console)
    except MmkerasError as error:
        Console(stderr=True).print(f"{type(error).__name__}: {error}", style="bold red", soft_wrap=True)
        return 2
    if given.dry_run:
        console.print(f"Nothing was trained. Next: mmkeras train {shlex.quote(str(file))}")
        return 0
    from pipelines.table import main as run

    return run(["--config", str(file), *further])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mmkeras fit", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("table", type=Path, help="a .csv, .tsv, .jsonl or .parquet file, or a folder of class folders")
    parser.add_argument("--target", nargs="+", metavar="COLUMN", help="column to predict; several columns of numbers")
    parser.add_argument(
        "--quality", choices=tuple(QUALITIES), default="fast", help="size of the model and of its training"
    )
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    parser.add_argument("--kind", nargs="+", default=[], metavar="COLUMN=KIND", help=f"kinds: {_KINDS}")
    parser.add_argument("--role", nargs="+", default=[], metavar="COLUMN=ROLE", help=f"roles: {', '.join(_ROLES)}")
    parser.add_argument("--name", help="of the run and the bundle; the table's name when not given")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration to write; NAME.toml when not given")
    parser.add_argument("--dry-run", action="store_true", help="show and write the configuration, and end")
    parser.epilog = "Further options, such as --train.epochs 3, change the configuration of this run."
    return parser


def _write(given: argparse.Namespace, console: Console) -> Path:
    name = given.name or re.sub(r"[^\w-]+", "_", given.table.resolve().stem).strip("_") or "table"
    file = given.config or Path(f"{name}.toml")
    table, target = given.table, given.target
    if table.is_dir():
        table, target = class_folders(table, file.with_suffix(".csv")), target or ["label"]
    if not target:
        raise ConfigError("--target: name the column to predict, for example --target answer")
    columns = read_columns(table)
    kinds, roles = _inferred(columns, target, given)
    targets = {each: target_of(each, columns.cells[each]) for each in target}
    console.print(_shown(columns, kinds, roles, targets))
    if columns.damaged:
        console.print(f"{columns.damaged} rows cannot be parsed; the conversion lists them", style="yellow")
    for warning in cautions(columns.cells, kinds, roles, targets):
        console.print(Text.assemble(("warning: ", "bold yellow"), warning))
    proposed = propose(columns, kinds, roles, targets, name=name, quality=given.quality)
    text = _HEAD.format(path=table, file=file) + tomlkit.dumps(proposed)
    if file.exists() and (before := file.read_text("utf-8")) != text:
        numbers = itertools.count(1)
        kept = next(each for number in numbers if not (each := Path(f"{file}.before-{number}")).exists())
        write_text(kept, before)
        console.print(f"{file} was different; it is kept as {kept}", style="yellow")
    write_text(file, text)
    console.print(f"configuration: {file}")
    return file


def _inferred(
    columns: Columns, target: Sequence[str], given: argparse.Namespace
) -> tuple[dict[str, Kind], dict[str, Role]]:
    """Return kinds and roles, those that the user gave before those that were found."""
    cells = columns.cells
    kinds = {name: kind_of_column(name, each, columns.path.parent) for name, each in cells.items()}
    for name, kind in _pairs(given.kind, "--kind", cells):
        if kind not in KINDS:
            raise ConfigError(f"--kind {name}={kind}: {nearest(kind, KINDS)}")
        kinds[name] = replace(kinds[name], name=kind, reason="you said so")
    roles = roles_of(kinds, cells, target)
    ignored = [f"{name}=unused" for name in given.ignore]
    for name, role in [*_pairs(given.role, "--role", cells), *_pairs(ignored, "--ignore", cells)]:
        if role not in _ROLES:
            raise ConfigError(f"--role {name}={role}: {nearest(role, _ROLES)}")
        if name in target:
            raise ConfigError(f"--role {name}={role}: this column is the target")
        if role in ("split", "group", "weight", "key"):
            roles = {n: Role("unused", "another column is") if r.name == role else r for n, r in roles.items()}
        roles[name] = Role(role, "you said so")
    for name, found in roles.items():
        if found.name == "input" and kinds[name].lost:
            raise DataError(
                f"column {name!r}: {kinds[name].reason}. Paths start from {columns.path.parent.resolve()}: correct "
                f"them, or leave the column out with --ignore {name!r}"
            )
    return kinds, roles


def _pairs(given: Sequence[str], option: str, columns: dict[str, list[object]]) -> list[tuple[str, str]]:
    pairs = []
    for text in given:
        name, _, value = text.rpartition("=")
        if name not in columns:
            raise DataError(f"{option} {text}: the table has no column {name!r}; {nearest(name, columns)}")
        pairs.append((name, value))
    return pairs


def _shown(columns: Columns, kinds: dict[str, Kind], roles: dict[str, Role], targets: dict[str, Target]) -> Table:
    table = Table(
        title=f"{columns.path.name}: {columns.rows} rows", title_justify="left", box=None, header_style="bold"
    )
    for heading in ("column", "kind", "used as", "because"):
        table.add_column(heading, overflow="fold")
    for name, role in roles.items():
        known = targets.get(name)
        kind, why = (known.task, known.reason) if known else (kinds[name].name, role.reason)
        style = {"unused": "dim", "target": "bold green"}.get(role.name, "")
        table.add_row(Text(name), kind, role.name, Text(why), style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
