"""What `mmkeras fit` is asked for, and the configuration that it writes."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomlkit
from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.columns.cautions import cautions
from mmkeras.data.columns.kinds import KINDS, Kind, kind_of_column
from mmkeras.data.columns.leaks import leaks
from mmkeras.data.columns.roles import Role, Target, roles_of, target_of
from mmkeras.storage.files import write_text
from pipelines._table.pretrained import CHOICES, choose
from pipelines._table.proposal import QUALITIES, propose
from pipelines._table.reading import Columns, class_folders, read_columns
from pipelines._table.time_plan import plan_time, shown

__all__ = ["ROLES", "Request", "write_configuration"]

ROLES = ("input", "split", "group", "weight", "key", "unused")
"""What a column that is not the target may be used as."""
_HEAD = """# Written by mmkeras fit from {path}. Correct it, and run it again with: mmkeras train {file}
# Every key and its help: python -m pipelines.table --config {file} --help

"""


@dataclass(frozen=True)
class Request:
    """A table, its target, and corrections of what is inferred."""

    table: Path
    """A .csv, .tsv, .jsonl or .parquet file, or a folder of class folders."""
    target: tuple[str, ...] = ()
    """Columns to predict; several must all be numbers. A folder of class folders needs none."""
    quality: str = ""
    """One of `pipelines._table.proposal.QUALITIES`; when empty ``fast``, or with a time limit the largest that fits."""
    ignored: tuple[str, ...] = ()
    """Columns to leave out."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Kinds by column, in place of the inferred ones."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Roles by column, in place of the inferred ones."""
    name: str = ""
    """Name of the run and of the bundle; that of the table when empty."""
    config: Path | None = None
    """The configuration to write; ``<name>.toml`` when not given."""
    seconds: float | None = None
    """Time limit of the whole run."""
    pretrained: str = "auto"
    """One of `pipelines._table.pretrained.CHOICES`: frozen pretrained weights for pictures and texts."""

    def __post_init__(self) -> None:
        """Check quality and pretrained, with a `ConfigError` for a wrong one."""
        if self.quality and self.quality not in QUALITIES:
            raise ConfigError(f"quality: {self.quality!r}; {nearest(self.quality, QUALITIES)}")
        if self.pretrained not in CHOICES:
            raise ConfigError(f"pretrained: {self.pretrained!r}; {nearest(self.pretrained, CHOICES)}")


def write_configuration(request: Request, console: Console, *, exports: bool = True) -> Path:
    """Infer the columns, show them with the reasons, write the configuration, and return its path.

    A different configuration of the same name is kept beside it. With a time limit, a training step is measured first,
    for which the data is converted; ``exports`` says whether an export belongs to the time.

    Raises:
        ConfigError, DataError: the table cannot be read, or the request does not fit it; nothing is written.
        DependencyError: pretrained weights were asked for and are not installed.
    """
    began = time.monotonic()
    name = request.name or re.sub(r"[^\w-]+", "_", request.table.resolve().stem).strip("_") or "table"
    file = request.config or Path(f"{name}.toml")
    table, target = request.table, request.target
    if table.is_dir():
        table, target = class_folders(table, file.with_suffix(".csv")), target or ("label",)
    if not target:
        raise ConfigError("--target: name the column to predict, for example --target answer")
    columns = read_columns(table)
    kinds, roles = _inferred(columns, target, request)
    targets = {each: target_of(each, columns.cells[each]) for each in target}
    console.print(_shown(columns, kinds, roles, targets))
    if columns.damaged:
        console.print(f"{columns.damaged} rows cannot be parsed; the conversion lists them", style="yellow")
    warnings = cautions(columns.cells, kinds, roles, targets)
    for warning in (*warnings, *leaks(columns.cells, kinds, roles, columns.path.parent)):
        console.print(Text.assemble(("warning: ", "bold yellow"), warning))
    limited = tuple(QUALITIES) if request.seconds is not None else ("fast",)
    qualities = (request.quality,) if request.quality else limited
    # A step is measured without the outputs that a frozen branch computes once.
    wanted = "no" if request.pretrained == "auto" and request.seconds is not None else request.pretrained
    weights = {each: choose(columns, kinds, roles, wanted=wanted, quality=each) for each in qualities}
    for reason in weights[qualities[0]].reasons:
        console.print(Text(reason))
    proposals = {
        each: propose(columns, kinds, roles, targets, name=name, quality=each, pretrained=weights[each])
        for each in qualities
    }
    if request.seconds is None:
        proposed = proposals[qualities[0]]
    else:
        plan = plan_time(proposals, request.seconds, began=began, exports=exports, console=console)
        proposed = plan.proposed
        epochs, used = proposed["train"]["epochs"], time.monotonic() - began
        console.print(
            f"time limit {shown(request.seconds)}: quality {plan.quality!r}, at most {epochs} epochs; "
            f"expected to take up to {shown(used + plan.expected)} in all",
            highlight=False,
        )
    text = _HEAD.format(path=table, file=file) + tomlkit.dumps(proposed)
    if file.exists() and (before := file.read_text("utf-8")) != text:
        numbers = itertools.count(1)
        kept = next(each for number in numbers if not (each := Path(f"{file}.before-{number}")).exists())
        write_text(kept, before)
        console.print(f"{file} was different; it is kept as {kept}", style="yellow")
    write_text(file, text)
    console.print(f"configuration: {file}")
    return file


def _inferred(columns: Columns, target: Sequence[str], request: Request) -> tuple[dict[str, Kind], dict[str, Role]]:
    """Return kinds and roles, those that the user gave before those that were found."""
    cells = columns.cells
    kinds = {name: kind_of_column(name, each, columns.path.parent) for name, each in cells.items()}
    for name, kind in request.kinds.items():
        _check_column(name, f"--kind {name}={kind}", cells)
        if kind not in KINDS:
            raise ConfigError(f"--kind {name}={kind}: {nearest(kind, KINDS)}")
        kinds[name] = replace(kinds[name], name=kind, reason="you said so")
    roles = roles_of(kinds, cells, target)
    chosen = [("--role", name, role) for name, role in request.roles.items()]
    for option, name, role in [*chosen, *(("--ignore", name, "unused") for name in request.ignored)]:
        _check_column(name, f"{option} {name}" + (f"={role}" if option == "--role" else ""), cells)
        if role not in ROLES:
            raise ConfigError(f"--role {name}={role}: {nearest(role, ROLES)}")
        if name in target:
            raise ConfigError(f"{option} {name}: this column is the target")
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


def _check_column(name: str, option: str, columns: Mapping[str, object]) -> None:
    if name not in columns:
        raise DataError(f"{option}: the table has no column {name!r}; {nearest(name, columns)}")


def _shown(
    columns: Columns, kinds: Mapping[str, Kind], roles: Mapping[str, Role], targets: Mapping[str, Target]
) -> Table:
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
