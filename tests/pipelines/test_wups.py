"""WUPS of a run's answers, with a WordNet of three nouns."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.evaluation import evaluate
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.classification.spec import Spec
from pipelines import vqa
from pipelines._stages.contract import Evaluated
from pipelines._stages.wups import add_wups

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))


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


def test_an_answer_near_the_right_one_counts_in_part(tmp_path: Path, capsys):
    spec, task = ImageConfig(size=(8, 8)).spec("image"), Spec(labels=("chair", "sofa"))
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 255
    inputs: dict[str, Any] = {"image": pixels, "image_present": np.ones(2, np.float32)}
    samples = Samples(inputs, np.array([0, 0], np.int32), np.ones(2, np.float32))

    def model(given: Any) -> dict[str, np.ndarray]:
        bright = np.asarray(given["image"]).mean(axis=(1, 2, 3)) > 100
        return {"probabilities": np.stack([~bright, bright], axis=1).astype(np.float32)}

    settings = EvaluateConfig(bootstrap=20)
    evaluate(model, samples, {"image": spec}, task, settings, tmp_path)
    run = SimpleNamespace(folder=tmp_path, specs={"image": spec}, task=task)
    config = SimpleNamespace(evaluate=settings)
    done = cast(Evaluated, SimpleNamespace(run=run, samples=samples, model=model, config=config, console=Console()))
    add_wups(done, write_wordnet(tmp_path))
    metrics: dict[str, Any] = json.loads((tmp_path / "metrics.json").read_text())
    jsonschema.validate(metrics, SCHEMA)
    assert metrics["wups"] == pytest.approx({"0.9": (1 + 0.05) / 2, "0": (1 + 0.5) / 2})
    assert metrics["remarks"][-1] == "WUPS: 52.5 % at 0.9, 75.0 % at 0."
    assert "WUPS: 52.5 % at 0.9" in capsys.readouterr().out
    assert "WUPS: 52.5 %" in (tmp_path / "report.html").read_text("utf-8")


def test_a_wrong_wordnet_is_refused_before_the_training(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.noun: cannot be read"):
        vqa.VqaStory().prepare(vqa.VqaConfig(wordnet=str(tmp_path)), Console())
