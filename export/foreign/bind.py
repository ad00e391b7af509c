"""Decides which columns of a table each input is given, and as what."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.foreign.declared import Declared
from export.foreign.feeds import SIDES, Feed, Feeds, Modality, Numbers, Picture
from export.foreign.match import Pair, plain_name
from export.foreign.model import Model, Tensor
from export.foreign.picture import inferred
from export.foreign.rows import read_value
from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.columns.kinds import kind_of_column
from mmkeras.media.cells import is_empty, tidy
from mmkeras.media.table.files import Folder
from mmkeras.media.table.rows import Table

__all__ = ["bind"]

_LOOKED_AT = 20


def bind(
    models: Mapping[str, Model],
    pairs: list[Pair],
    columns: Mapping[str, tuple[str, ...]],
    declared: Mapping[str, Declared],
    table: Table,
    root: Path,
) -> Feeds:
    """Return the feeds.

    Args:
        models: by side.
        pairs: of all inputs.
        columns: those that ``--map`` gives, by name of the input on either side, or of a declared modality.
        declared: by side, by name of the input on either side.
        table: the table.
        root: folder that relative paths start from.

    Raises:
        ConfigError: an input without a column, text without a spec, a declaration that fits no input.
    """
    tensors = {side: {tensor.name: tensor for tensor in models[side].inputs} for side in SIDES}
    known = {name for pair in pairs for name in (pair.file, pair.reference)}
    feeds: list[Feed] = []
    left = list(pairs)
    for name, spec in {**declared["reference"].modalities, **declared["file"].modalities}.items():
        if spec.kind == "image" and spec.present.name not in known:
            continue  # a picture without this project's presence input
        names = [tensor.name for tensor in (*spec.tensors, spec.present)]
        own = [pair for pair in left if pair.file in names or pair.reference in names]
        if not own:
            raise ConfigError(f"--input {name}: no input is called {' or '.join(names)}; {nearest(name, known)}")
        by_side = {
            side: {(p.file if p.file in names else p.reference): getattr(p, side) for p in own} for side in SIDES
        }
        given = columns.get(name) or tuple(spec.columns) or ((name,) if name in table.columns else ())
        if not given:
            raise ConfigError(f"modality {name}: no column is given; add --map {name}=COLUMN")
        feeds.append(Modality(name, given, spec, by_side))
        left = [pair for pair in left if pair not in own]
    said: dict[str, tuple[str, str]] = {}
    for pair in left:
        feeds.append(_feed(pair, models, tensors, columns, declared, table, root, said, alone=len(pairs) == 1))
    _nothing_unused(columns, declared, known | {feed.name for feed in feeds})
    return Feeds(models, tuple(feeds), pairs, said)


def _feed(
    pair: Pair,
    models: Mapping[str, Model],
    tensors: Mapping[str, Mapping[str, Tensor]],
    columns: Mapping[str, tuple[str, ...]],
    declared: Mapping[str, Declared],
    table: Table,
    root: Path,
    said: dict[str, tuple[str, str]],
    *,
    alone: bool,
) -> Feed:
    own = {side: tensors[side][getattr(pair, side)] for side in SIDES}
    fields: dict[str, dict[str, Any]] = {
        side: declared[side].pictures.get(pair.reference, {}) | declared[side].pictures.get(pair.file, {})
        for side in SIDES
    }
    given = columns.get(pair.file) or columns.get(pair.reference) or _column(pair, table, root, alone=alone)
    is_picture = any(fields.values())
    if len(given) == 1 and not is_picture and tidy(given[0]) in table.columns:
        kind = kind_of_column(given[0], [row.cells.get(tidy(given[0])) for row in table.rows], root).name
        is_picture = kind in ("picture", "dicom")
        if kind in ("text", "category", "clip", "pictures", "date") and not _are_numbers(given[0], table, root):
            raise ConfigError(
                f"input {pair}: column {given[0]!r} holds {kind}, which only a spec turns into numbers. Declare the "
                f"modality's spec of the manifest: --input NAME=spec.json, and --map NAME={given[0]}"
            )
    if not is_picture:
        return Numbers(pair.file, given, own)
    specs = {}
    for side in SIDES:
        specs[side], remark = inferred(own[side], fields[side], models[side].format, models[side].rescales)
        said[f"{side}: {own[side].name}"] = (str(specs[side]), remark)
    return Picture(pair.file, given, own, specs)


def _are_numbers(column: str, table: Table, root: Path) -> bool:
    """Return whether most of the first cells are numbers all the same: short lists look like texts."""
    cells = [cell for row in table.rows if not is_empty(cell := row.cells.get(tidy(column)))][:_LOOKED_AT]
    folder, found = Folder(root), 0
    for cell in cells:
        with contextlib.suppress(DataError):
            read_value(cell, "numbers", folder)
            found += 1
    return 2 * found > len(cells)


def _column(pair: Pair, table: Table, root: Path, *, alone: bool) -> tuple[str, ...]:
    """Return the column of an input that ``--map`` does not name: that of its name, or the only one of pictures."""
    for name in (pair.file, pair.reference):
        found = [column for column in table.columns if plain_name(column) == plain_name(name)]
        if len(found) == 1:
            return (found[0],)
    if alone:
        kinds = {
            name: kind_of_column(name, [row.cells.get(name) for row in table.rows], root) for name in table.columns
        }
        pictures = [name for name, kind in kinds.items() if kind.name in ("picture", "dicom") and not kind.lost]
        if len(pictures) == 1:
            return (pictures[0],)
    raise ConfigError(
        f"input {pair}: the table has no column of this name; add --map {pair.file}=COLUMN. "
        f"Columns: {', '.join(map(repr, table.columns))}"
    )


def _nothing_unused(columns: Mapping[str, Any], declared: Mapping[str, Declared], known: set[str]) -> None:
    problems = [
        f"--map {name}: no input is called {name!r}; {nearest(name, known)}" for name in columns if name not in known
    ]
    names = {name for side in SIDES for name in declared[side].pictures}
    problems += [
        f"--input {name}: no input is called {name!r}; {nearest(name, known)}" for name in sorted(names - known)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
