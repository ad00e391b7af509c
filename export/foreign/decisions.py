"""Decisions and the metric of both sides, from their rows of numbers and the target column of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.foreign.outputs import sigmoid, softmax
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.media.cells import tidy
from mmkeras.tasks import TaskSpec
from mmkeras.tasks.classification.spec import Spec as Classes
from mmkeras.tasks.regression.spec import Spec as Regression

__all__ = ["TASKS", "Decisions", "decisions_for", "read_labels"]

TASKS = ("classification", "regression")
_RIGHT = Classes(labels=("wrong", "right"))
"""Accuracy of any number of classes needs two: whether the decision is right. So resampling stays small."""


@dataclass
class Decisions:
    """How rows of numbers (B, C) become decisions, and the metric that they give with the targets."""

    kind: str
    """``classes``, ``binary`` (one number for two classes) or ``numbers``."""
    targets: np.ndarray | None
    """Class (N,) or numbers (N, K) of each row of the table; None without ``--target``."""
    labels: tuple[str, ...] = ()
    """Names of the classes, where they are known."""
    said: str = ""
    """What was inferred."""

    @property
    def task(self) -> TaskSpec:
        """The task whose metric is reported."""
        if self.kind != "numbers":
            return _RIGHT
        targets = np.zeros((1, 1)) if self.targets is None else self.targets
        spread = np.where((found := targets.std(axis=0)) > 0, found, 1.0)
        names = tuple(f"value {place + 1}" for place in range(targets.shape[1]))
        return Regression(names, (), tuple(targets.mean(axis=0)), tuple(spread), 0.1)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return rows of numbers (B, C) as probabilities (B, C), or (B, 2) of a single number; NaN stays."""
        rows = np.asarray(values, np.float64)
        finite = np.isfinite(rows)
        inside = bool((rows[finite] >= 0).all() and (rows[finite] <= 1).all())
        with np.errstate(invalid="ignore"):
            if self.kind == "binary":
                one = rows if inside else sigmoid(rows)
                return np.concatenate([1 - one, one], axis=1)
            return rows if inside else softmax(rows)

    def flips(self, reference: np.ndarray, file: np.ndarray) -> np.ndarray:
        """Return bool (B,): rows on which the sides decide differently; all False for numbers."""
        if self.kind == "numbers":
            return np.zeros(len(file), bool)
        one, other = self._outputs(reference), self._outputs(file)
        return _RIGHT.flips(one, other)

    def margins(self, reference: np.ndarray, file: np.ndarray) -> np.ndarray:
        """Return float (B,): by how much the reference prefers its own decision to the file's."""
        if self.kind == "numbers":
            return np.full(len(file), np.inf)
        return _RIGHT.margins(self._outputs(reference), self._outputs(file))

    def chosen(self, values: np.ndarray) -> np.ndarray:
        """Return the chosen class (B,); -1 where a value is not finite."""
        return _RIGHT.decisions(self._outputs(values))

    def _outputs(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {"probabilities": self.probabilities(values)}

    def evidence(self, rows: slice, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the metric of `task` needs of the table's rows ``rows`` with the outputs (B, C)."""
        if self.kind == "numbers":
            targets = np.zeros((len(values), 1)) if self.targets is None else self.targets[rows]
            shown = values if self.targets is not None else np.zeros((len(values), 1))
            return self.task.evidence(targets, {"value": shown})
        truth = np.full(len(values), -2) if self.targets is None else self.targets[rows]
        right = (self.chosen(values) == truth).astype(np.int64)
        confidence = self.probabilities(values).max(axis=1)
        return {"truth": np.ones_like(right), "decided": right, "confidence": confidence, "own": confidence}


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the names of the classes in the order of the outputs, one in a line.

    Raises:
        ConfigError: no such file, or an empty line or name that occurs twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--labels: {path} cannot be read: {error}") from error
    names = tuple(map(tidy, lines))
    for number, name in enumerate(names, 1):
        if not name:
            raise ConfigError(f"--labels: {path}:{number}: expected the name of a class, got an empty line")
    return names


def decisions_for(
    width: int, columns: Sequence[str], cells: Sequence[np.ndarray], labels: tuple[str, ...], task: str = ""
) -> Decisions:
    """Return the decisions for rows of ``width`` numbers.

    Args:
        width: numbers in a row of the decision output, as it is compared.
        columns: target columns; empty without a target.
        cells: text (N,) of each target column.
        labels: names of the classes, from ``--labels``; empty if not given.
        task: ``classification`` or ``regression``; inferred when empty.

    Raises:
        ConfigError: targets that do not fit the outputs.
    """
    if task and task not in TASKS:
        raise ConfigError(f"--task: {task!r}; {nearest(task, TASKS)}")
    numbers = [_numbers(each) for each in cells]
    if not columns:
        kind = "numbers" if task == "regression" or (width == 1 and task != "classification") else "classes"
        return Decisions("binary" if width == 1 and kind == "classes" else kind, None, labels)
    distinct = sorted(set(cells[0].tolist()))
    two = width == 1 and len(distinct) <= 2 and not labels
    if task == "regression" or (not task and (len(columns) > 1 or (width == 1 and not two and not labels))):
        if len(columns) != width or any(each is None for each in numbers):
            bad = [name for name, each in zip(columns, numbers, strict=True) if each is None]
            why = f"column {bad[0]!r} holds text" if bad else f"--target names {len(columns)} columns"
            raise ConfigError(f"--target: the output has {width} numbers in a row, but {why}")
        return Decisions("numbers", np.stack([each for each in numbers if each is not None], axis=1))
    if len(columns) > 1:
        raise ConfigError(f"--target: classification reads one column, got {', '.join(columns)}")
    classes = 2 if width == 1 else width
    names, said = _names(classes, distinct, numbers[0], labels)
    places = {name: place for place, name in enumerate(names)}
    unknown = [name for name in distinct if name not in places]
    if unknown:
        raise ConfigError(
            f"--target: column {columns[0]!r} holds {unknown[0]!r}, which is none of the {classes} classes; "
            f"{nearest(unknown[0], names) if classes <= 20 else 'check --labels'}"
        )
    targets = np.array([places[name] for name in cells[0].tolist()])
    return Decisions("binary" if width == 1 else "classes", targets, names, said)


def _names(
    classes: int, distinct: list[str], numbers: np.ndarray | None, labels: tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    if labels:
        if len(labels) != classes:
            raise ConfigError(
                f"--labels: expected {classes} names, one for each number in a row of the output, got {len(labels)}"
            )
        return labels, ""
    whole = numbers is not None and np.array_equal(numbers, np.rint(numbers))
    if whole and numbers is not None and numbers.min() >= 0 and numbers.max() < classes:
        return tuple(map(str, range(classes))), "the target holds the places of the classes"
    if len(distinct) == classes:
        distinct = sorted(distinct, key=float) if whole else distinct
        return tuple(distinct), f"classes ASSUMED in the order of their names: {', '.join(distinct)[:120]}"
    raise ConfigError(
        f"--target: it has {len(distinct)} different values and the output {classes} numbers in a row. Give the names "
        "of the classes in the order of the output: --labels FILE with one in a line"
    )


def _numbers(cells: np.ndarray) -> np.ndarray | None:
    try:
        found = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None
