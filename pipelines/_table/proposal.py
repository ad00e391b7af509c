"""The configuration that a table asks for, as nested tables of TOML."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.data.columns.kinds import Kind
from mmkeras.data.columns.roles import Role, Target
from mmkeras.data.sources._contract import split_called
from mmkeras.media.cells import is_empty
from mmkeras.media.table.files import Folder
from pipelines._table.pretrained import BEHIND_FROZEN, NO_WEIGHTS, Pretrained
from pipelines._table.reading import Columns
from pipelines._table.series import series_options

__all__ = ["QUALITIES", "Quality", "propose"]


@dataclass(frozen=True)
class Quality:
    """How large the model is and how long it is trained."""

    size: int
    """Height and width of pictures, in pixels."""
    picture: Mapping[str, Any]
    """Further options of pictures."""
    text: Mapping[str, Any]
    """Options of texts."""
    width: int
    """Of the tokens."""
    layers: int
    """Transformer layers over the columns of numbers and categories, and over the patches of a series."""
    frames: int
    """Of a clip."""
    updates: int
    """Steps to train for, as far as the epochs allow."""
    epochs: tuple[int, int]
    """Fewest and most."""


def _picture(width: float, depth: float, level: int) -> dict[str, Any]:
    return {
        "architecture": "edge",
        "width_factor": width,
        "depth_factor": depth,
        "fused_stages": level,
        "level": level,
        "brightness": 0.1,
        "contrast": 0.1,
        "translate": 0.05,
    }


def _text(hidden: int, layers: int) -> dict[str, Any]:
    return {"hidden": hidden, "intermediate": 4 * hidden, "layers": layers, "heads": 4}


QUALITIES = {
    "fast": Quality(64, _picture(0.5, 0.3, 3), _text(64, 1), 64, 1, 8, 600, (4, 20)),
    "balanced": Quality(96, _picture(0.75, 0.5, 3), _text(64, 2), 64, 2, 8, 3000, (8, 40)),
    "best": Quality(160, _picture(1.0, 0.8, 4), _text(128, 3), 128, 3, 16, 12000, (12, 80)),
}
"""By name."""
_FUSION = {"name": "attention_pooling", "options": {"queries": 2}}
_LONGEST_TEXT = 128
_MOST_PICTURES = 16
_MOVES = ("translate", "flip")
_FIXED = frozenset(("width", "fusion", "task", "without"))


def propose(
    columns: Columns,
    kinds: Mapping[str, Kind],
    roles: Mapping[str, Role],
    targets: Mapping[str, Target],
    *,
    name: str,
    quality: str = "fast",
    pretrained: Pretrained = NO_WEIGHTS,
) -> dict[str, Any]:
    """Return the configuration, ready for TOML.

    Args:
        columns: the table.
        kinds: of every column.
        roles: of every column.
        targets: what the target columns ask for; several must all be numbers.
        name: of the run and of the bundle.
        quality: one of `QUALITIES`.
        pretrained: which branches start from pretrained weights.

    Raises:
        DataError: no column to learn from, or several targets that are not numbers.
    """
    chosen = QUALITIES[quality]
    modalities, read = _modalities(columns, kinds, roles, chosen, pretrained)
    if not modalities:
        raise DataError(f"{columns.path}: no column is left to learn from. Name one: --role COLUMN=input")
    source: dict[str, Any] = {"path": str(columns.path), "columns": read, "missing": "absent"}
    source |= {role.name: name for name, role in roles.items() if role.name in ("split", "group", "weight", "key")}
    task = _task(targets)
    source["target"] = next(iter(targets)) if len(targets) == 1 else list(targets)
    if separator := next(iter(targets.values())).separator:
        source["separator"] = separator
    data: dict[str, Any] = {"source": {"name": "table", "options": source}, "max_bad_share": 0.05}
    if "group" in source and not any(map(is_empty, columns.cells[source["group"]])):
        data["split_by_group"] = True
    splits = [split_called(str(cell)) for cell in columns.cells[source["split"]]] if "split" in source else []
    training = splits.count("train") or round(0.8 * columns.rows)
    batch = 16 if training < 400 else 32 if training < 4000 else 64
    steps = max(1, math.ceil(training / batch))
    behind, frozen = BEHIND_FROZEN, bool(pretrained.picture or pretrained.text)
    updates, (fewest, most) = (behind.updates, behind.epochs) if frozen else (chosen.updates, chosen.epochs)
    return {
        "name": name,
        "data": data,
        "model": {
            "width": chosen.width,
            "fusion": behind.fusion if frozen else _FUSION,
            "task": {"name": task, "options": {"dropout": behind.dropout[task]} if frozen else {}},
            **modalities,
        },
        "train": {
            "epochs": max(fewest, min(most, round(updates / steps))),
            "batch_size": batch,
            "learning_rate": 1e-3,
            **(behind.train if frozen else {"early_stopping": 5}),
        },
    }


def _modalities(
    columns: Columns,
    kinds: Mapping[str, Kind],
    roles: Mapping[str, Role],
    quality: Quality,
    pretrained: Pretrained,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the options of every modality, and the column of those that read one."""
    inputs = [name for name, role in roles.items() if role.name == "input"]
    pictures = [name for name in inputs if kinds[name].name in ("picture", "dicom")]
    clips = [name for name in inputs if kinds[name].name in ("clip", "pictures")]
    texts = [name for name in inputs if kinds[name].name == "text"]
    alike_columns = (("image", pictures), ("video", clips), ("text", texts))
    modalities: dict[str, Any] = {}
    read: dict[str, str] = {}
    picture = {"kind": "image", **(pretrained.picture or {"size": [quality.size, quality.size], **quality.picture})}
    words = pretrained.text or quality.text
    clip = {**picture, "kind": "video", "frames": quality.frames}
    clip.pop("translate", None)  # a clip cannot be shifted, nor a picture beside it
    if not pretrained.picture:
        clip["cells"] = [2, 2]  # where something moves
    for column in (*pictures, *clips, *texts):
        kind, alike = next(each for each in alike_columns if column in each[1])
        name = _named(kind if len(alike) == 1 else column, modalities)
        modalities[name] = {"image": picture, "video": clip}.get(kind) or _of_text(columns.cells[column], words)
        if kinds[column].name == "pictures":
            modalities[name] = _of_pictures(columns, column, clip)
        if column in (pictures if clips else pictures[1:]):  # the first picture's draw moves the whole sample
            modalities[name] = {option: value for option, value in picture.items() if option not in _MOVES}
        read[name] = column
    series = [name for name in inputs if kinds[name].name == "series"]
    for column in series:
        name = _named("series" if len(series) == 1 else column, modalities)
        modalities[name] = series_options(columns.cells[column], Folder(columns.path.parent), quality.layers)
        read[name] = column
    cells = {
        "numbers": [name for name in inputs if kinds[name].name == "number"],
        "categories": [name for name in inputs if kinds[name].name in ("category", "yes_no")],
    }
    dates = [name for name in inputs if kinds[name].name == "date"]
    for place, date_format in enumerate(dict.fromkeys(kinds[name].date_format for name in dates) or [""]):
        own = {"dates": [name for name in dates if kinds[name].date_format == date_format]}
        chosen = {name: each for name, each in ({**cells, **own} if place == 0 else own).items() if each}
        if chosen:
            name = _named("row" if place == 0 else f"row_{place + 1}", modalities)
            written = {"date_format": date_format} if date_format else {}
            modalities[name] = {"kind": "tabular", **chosen, **written, "layers": quality.layers}
    return modalities, read


def _of_pictures(columns: Columns, column: str, clip: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a column of several pictures: a frame for each, and nothing that moves."""
    folder = Folder(columns.path.parent)
    filled = (cell for cell in columns.cells[column] if not is_empty(cell))
    most = max(len(folder.several(cell) or [cell]) if isinstance(cell, str) else len(cell) for cell in filled)
    still = {option: value for option, value in clip.items() if option != "cells"}
    return {**still, "frames": min(most, _MOST_PICTURES)}


def _of_text(cells: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    lengths = [len(re.findall(r"\w+|[^\w\s]", str(cell))) for cell in cells if not is_empty(cell)]
    usual = statistics.quantiles(lengths, n=20)[-1] if len(lengths) > 1 else 16
    # Words are cut into pieces: about four for three words, and two marks.
    length = min(_LONGEST_TEXT, 8 * math.ceil((4 * usual / 3 + 2) / 8))
    return {"kind": "text", "max_length": length, **options}


def _named(wanted: str, taken: Mapping[str, Any]) -> str:
    """Return a name that the configuration takes: letters, digits and _, not one of its own."""
    name = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_").lower() or "input"
    name = f"input_{name}" if name[0].isdigit() or name in _FIXED else name
    others = (f"{name}_{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], others) if each not in taken)


def _task(targets: Mapping[str, Target]) -> str:
    tasks = {target.task for target in targets.values()}
    if len(targets) > 1 and tasks != {"regression"}:
        found = ", ".join(f"{name!r} ({target.task})" for name, target in targets.items())
        raise DataError(f"several targets must all be numbers, got {found}. Train one model for each")
    return tasks.pop()
