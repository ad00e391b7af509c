"""WUPS of a run's answers, with a WordNet of three nouns."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.evaluation import predict as _predict
from mmkeras.tasks.classification.spec import Spec
from pipelines import vqa
from pipelines._stages.contract import Evaluated
from pipelines._stages.wups import add_wups


def write_wordnet(folder: Path) -> Path:
    """Write furniture > chair and furniture > sofa."""
    senses = {"00000010": ("furniture", ""), "00000020": ("chair", "00000010"), "00000030": ("sofa", "00000010")}
    data = [
        f"{sense} 03 n 01 {word} 0 " + (f"001 @ {parent} n 0000 | x" if parent else "000 | x")
        for sense, (word, parent) in senses.items()
    ]
    index = [f"{word} n 1 1 @ 1 0 {sense}  " for sense, (word, _) in senses.items()]
    (folder / "data.noun").write_text("\n".join(data))
    (folder / "index.noun").write_text("\n".join(index))
    return folder


def test_an_answer_near_the_right_one_counts_in_part(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "metrics.json").write_text(json.dumps({"remarks": ["one"]}))
    outputs = {"probabilities": np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)}
    monkeypatch.setattr(_predict, "predict", lambda *_, **__: outputs)
    monkeypatch.setattr("mmkeras.evaluation.report.write_report", lambda _: None)
    run = SimpleNamespace(folder=tmp_path, specs={}, task=Spec(labels=("chair", "sofa")))
    samples = SimpleNamespace(targets=np.array([0, 0], np.int32), weights=np.ones(2))
    config = SimpleNamespace(evaluate=SimpleNamespace(batch_size=2))
    done = cast(Evaluated, SimpleNamespace(run=run, samples=samples, model=None, config=config, console=Console()))
    add_wups(done, write_wordnet(tmp_path))
    metrics: dict[str, Any] = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["wups"] == pytest.approx({"0.9": (1 + 0.05) / 2, "0": (1 + 0.5) / 2})
    assert metrics["remarks"] == ["one", "WUPS: 52.5 % at 0.9, 75.0 % at 0."]
    assert "WUPS: 52.5 % at 0.9" in capsys.readouterr().out


def test_a_wrong_wordnet_is_refused_before_the_training(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.noun: cannot be read"):
        vqa.VqaStory().prepare(vqa.VqaConfig(wordnet=str(tmp_path)), Console())
