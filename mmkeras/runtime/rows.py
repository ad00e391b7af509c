"""The rows of a table, as raw values by modality."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.media.cells import tidy
from mmkeras.media.table.files import Folder
from mmkeras.media.table.inputs import names_of, raw_value
from mmkeras.modalities import ModalitySpec

__all__ = ["BATCH", "Reader", "answers_for", "mapped_columns"]

BATCH = 64
"""Rows of a table in one call of the engine."""
_Inputs: TypeAlias = Mapping[str, np.ndarray]
_ALIKE = 0.8
"""Similarity from which the name of an unknown column counts as a misspelt one; see `difflib`."""


class Reader:
    """Reads the raw values of a bundle's modalities from the rows of a table."""

    def __init__(
        self,
        specs: Mapping[str, ModalitySpec],
        columns: Mapping[str, str | Sequence[str]],
        *,
        root: str | Path = "",
        mapped: Mapping[str, str] | None = None,
    ) -> None:
        """Name the columns to read.

        Args:
            specs: modality specs by name.
            columns: columns that the model was trained on, by modality; a modality that is not in it is read from the
                columns of its spec, or from the column with its own name.
            root: folder that relative paths start from; the working folder when empty.
            mapped: other columns for some modalities.

        Raises:
            ConfigError: ``mapped`` names an unknown modality, or one that reads several columns.
        """
        self.columns = {name: columns.get(name) or spec.columns or name for name, spec in specs.items()}
        for name, column in (mapped or {}).items():
            if name not in specs:
                raise ConfigError(f"--map {name}={column}: this model has no modality {name!r}; {nearest(name, specs)}")
            if not isinstance(self.columns[name], str):
                names = ", ".join(names_of(self.columns[name]))
                raise ConfigError(
                    f"--map {name}={column}: {name!r} reads several columns ({names}). Rename those of the table"
                )
            self.columns[name] = column
        self._folders = {name: Folder(Path(root)) if spec.reads_files else None for name, spec in specs.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(dict.fromkeys(each for column in self.columns.values() for each in names_of(column)))

    def missing(self, present: Sequence[str]) -> list[str]:
        """Return the columns to read that a table with these columns does not have."""
        return [name for name in self.names if tidy(name) not in set(map(tidy, present))]

    def values(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Return the raw value by modality, None for a modality whose cells are empty.

        Args:
            cells: of the row, by column in normal form (`mmkeras.media.cells.tidy`).

        Raises:
            DataError: a path of which only another spelling exists.
        """
        return {name: raw_value(cells, column, self._folders[name])[0] for name, column in self.columns.items()}

    def row(self, given: Any) -> dict[str, Any]:
        """Return the raw values of a single row by column, as `values` does. A column that it lacks is empty.

        Raises:
            DataError: no row; it has none of the columns, or one that is probably a misspelt one.
        """
        if not isinstance(given, Mapping):
            raise DataError(f"expected cells by column, such as {{'age': 40}}, got {type(given).__name__}")
        cells = {tidy(str(name)): _plain(cell) for name, cell in given.items()}
        lacking = self.missing(list(cells))
        for name in cells:
            if close := difflib.get_close_matches(name, lacking, n=1, cutoff=_ALIKE):
                raise DataError(f"the row has no column {close[0]!r}, but {name!r}. Rename it")
        if len(lacking) == len(self.names):
            expected = ", ".join(map(repr, self.names))
            got = ", ".join(map(repr, cells)) or "no cells"
            raise DataError(f"the row has none of the columns {expected}; got {got}")
        return self.values(cells)


def mapped_columns(given: Sequence[str]) -> dict[str, str]:
    """Return the columns of the option ``--map MODALITY=COLUMN ...`` by modality.

    Raises:
        ConfigError: a text of another form.
    """
    for text in given:
        if "=" not in text:
            raise ConfigError(f"--map {text}: expected MODALITY=COLUMN")
    return {name: column for name, _, column in (text.partition("=") for text in given)}


def answers_for(
    rows: Any, prepare: Callable[[Any], _Inputs], answer: Callable[[Sequence[_Inputs]], list[dict[str, Any]]]
) -> Any:
    """Return the answer to a row, a list of answers to a list of rows, or a DataFrame of answers to a DataFrame.

    Args:
        rows: cells by column, a list of such rows, or a DataFrame or Series of pandas.
        prepare: row -> model inputs.
        answer: model inputs of several rows -> their answers.

    Raises:
        ConfigError: something else.
        DataError: a row that cannot be used; the message has its position.
    """
    table = hasattr(rows, "notna") and hasattr(rows, "to_dict")
    if isinstance(rows, Mapping) or (table and len(rows.shape) == 1):
        return answer([prepare(dict(rows))])[0]
    if table:
        # Missing cells of every dtype become None, and numbers become those of Python.
        given = rows.astype(object).where(rows.notna(), None).to_dict("records")
    elif isinstance(rows, Sequence) and not isinstance(rows, (str, bytes)):
        given = list(rows)
    else:
        raise ConfigError(
            "predict: expected a row such as {'image': 'a.png', 'age': 40}, a list of rows or a DataFrame, got "
            f"{type(rows).__name__}. Values by modality are named: predict(text='...')"
        )
    answers = []
    for start in range(0, len(given), BATCH):
        inputs = []
        for number, row in enumerate(given[start : start + BATCH], start):
            try:
                inputs.append(prepare(row))
            except (ConfigError, DataError) as error:
                raise type(error)(f"Row {number}: {error}") from error
        answers += answer(inputs)
    return type(rows)(answers, index=rows.index) if table else answers


def _plain(cell: Any) -> Any:
    """Return a scalar of numpy as one of Python."""
    return cell.item() if isinstance(cell, np.generic) else cell
