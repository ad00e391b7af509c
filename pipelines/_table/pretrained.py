"""Whether the branches of a table's model start from pretrained, frozen weights."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmkeras.core.weight_packages import EDGE_IMAGENET, MINILM, WeightPackage
from mmkeras.data.columns.kinds import Kind
from mmkeras.data.columns.roles import Role
from mmkeras.media.cells import is_empty
from pipelines._table.reading import Columns

__all__ = ["BEHIND_FROZEN", "CHOICES", "NO_WEIGHTS", "BehindFrozen", "Pretrained", "choose"]

CHOICES = ("auto", "yes", "no")
_FEW_ROWS = 5000
"""Tables of fewer rows: a network from scratch learns less from them than pretrained ones know."""
_WORDS = 5
_SIZES = {"fast": 160, "balanced": 192, "best": 224}
_DROPPED = 0.5
"""Share of the features of frozen networks that is dropped in training: they have hundreds, and the table few rows."""
_TEXT = {"preset": "minilm", "frozen": True, "pooling": "mean", "feature_dropout": _DROPPED}


@dataclass(frozen=True)
class Pretrained:
    """Options of branches with pretrained weights."""

    picture: Mapping[str, Any] = field(default_factory=dict)
    """Options of pictures; empty where they are learned from scratch."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """Options of texts; empty where they are learned from scratch."""
    reasons: tuple[str, ...] = ()
    """What was chosen and why, a line each."""


@dataclass(frozen=True)
class BehindFrozen:
    """The rest of a model with frozen branches: hundreds of features of few rows, so it must not learn rows by heart.

    Chosen by cross-validation over cases of MedPix 2.0 (pictures with history, age and sex, without the test split). A
    linear model on the same frozen features is about as good. Label smoothing, averaged weights, several views of a
    picture, larger pictures and features of two levels changed less than a point there.
    """

    fusion: Mapping[str, Any]
    """With one query."""
    dropout: Mapping[str, float]
    """Before the last layer, by task. A number that is predicted changes with every dropped value, a class does not."""
    train: Mapping[str, Any]
    """Options of the training."""
    updates: int
    """Steps to train for, as far as the epochs allow."""
    epochs: tuple[int, int]
    """Fewest and most."""


BEHIND_FROZEN = BehindFrozen(
    fusion={"name": "attention_pooling", "options": {"queries": 1, "dropout": 0.3}},
    dropout={"classification": 0.5, "multilabel": 0.5, "regression": 0.1},
    train={"weight_decay": 0.3, "early_stopping": 10},
    updates=600,
    epochs=(10, 40),
)
"""The options, for every quality."""
NO_WEIGHTS = Pretrained()
"""Everything is learned from scratch."""


def choose(
    columns: Columns, kinds: Mapping[str, Kind], roles: Mapping[str, Role], *, wanted: str, quality: str
) -> Pretrained:
    """Choose pretrained weights for pictures and texts.

    ``auto`` takes them with the qualities balanced and best, where the package is installed, the table has few rows
    and texts are sentences. ``yes`` takes them with every quality and table.

    Raises:
        DependencyError: ``yes``, and a package is missing; the message has the command that installs it.
    """
    if wanted == "no":
        return NO_WEIGHTS
    inputs = [name for name, role in roles.items() if role.name == "input"]
    pictures = [name for name in inputs if kinds[name].name in ("picture", "dicom", "clip")]
    texts = [name for name in inputs if kinds[name].name == "text"]
    found: dict[str, Mapping[str, Any]] = {}
    reasons = []
    for what, names, package, options in (
        ("picture", pictures, EDGE_IMAGENET, _picture(_SIZES[quality])),
        ("text", texts, MINILM, _TEXT),
    ):
        if not names:
            continue
        against = "" if wanted == "yes" else _against(columns, what, names, package, quality)
        if not against:
            package.path()
            found[what] = options
        why = against or ("you said so" if wanted == "yes" else f"{columns.rows:,} rows are few")
        how = "from scratch" if against else "pretrained and frozen"
        reasons.append(f"{what}s ({', '.join(names)}): {how}, because {why}")
    return Pretrained(found.get("picture", {}), found.get("text", {}), tuple(reasons))


def _picture(size: int) -> dict[str, Any]:
    # Without augmentation the outputs of the frozen network are computed once.
    return {
        "size": [size, size],
        "resize": "letterbox",
        "architecture": "edge",
        "weights": "imagenet",
        "top": True,
        "level": 5,
        "frozen_stages": -1,
        "position_embedding": False,
        "feature_dropout": _DROPPED,
    }


def _against(columns: Columns, what: str, names: Sequence[str], package: WeightPackage, quality: str) -> str:
    """Return why ``auto`` does not take the weights; empty if it does."""
    if columns.rows >= _FEW_ROWS:
        return f"{columns.rows:,} rows are enough to learn from (--pretrained yes takes pretrained weights)"
    if what == "text" and not all(_sentences(columns.cells[name]) for name in names):
        return "the texts are not sentences in Latin letters (--pretrained yes takes pretrained weights)"
    if not package.installed:
        return f"the weights are not installed ({package.command})"
    return (
        "the quality fast has small networks (--pretrained yes takes pretrained weights)" if quality == "fast" else ""
    )


def _sentences(cells: Sequence[Any]) -> bool:
    """Return whether most texts have several words, and most letters are Latin."""
    texts = [str(cell) for cell in cells if not is_empty(cell)]
    letters = [letter for text in texts[:1000] for letter in text if letter.isalpha()]
    latin = sum(letter < "\u0250" for letter in letters)
    words = [len(re.findall(r"\w+", text)) for text in texts]
    return bool(words) and statistics.median(words) >= _WORDS and latin >= 0.9 * len(letters)
