"""The training method that CONTRIBUTING.md writes out, as a stage of a run."""

from __future__ import annotations

import re

import mmkeras.training.methods
from mmkeras.core.config import StageConfig
from mmkeras.training.run import Run
from tests.conftest import REPOSITORY
from tests.training.tiny_run import start


def test_the_recipe_trains(tmp_path, monkeypatch):
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"## A training method.*?```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "hidden_rows.py").write_text(code[1], encoding="utf-8")
    monkeypatch.setattr(mmkeras.training.methods, "__path__", [*mmkeras.training.methods.__path__, str(folder)])
    stages = (StageConfig("pretrain", "hidden_rows", {"share": 0.4}, {"epochs": 1}), StageConfig("fit"))
    tiny = start(tmp_path, stages=stages, picture=True)
    tiny.fit(epochs=1)
    pretrain, fitted = Run.open(tiny.run.folder).provenance["stages"]
    assert pretrain["best"]["val_loss"] > 0
    assert "val_accuracy" in fitted["best"]
