"""Matching: the demonstration, the answers that are judged again, and which numbers are recorded."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.samples import Samples
from mmkeras.model import build_model, modality_specs, task_spec
from pipelines._matching.demo import write_demo
from pipelines._matching.rerank import reranked_recall
from pipelines._stages.alone_config import AloneConfig
from pipelines._stages.public import NOTICE
from pipelines.matching import NO_MMD, MatchingConfig, MatchingModel, MatchingStory, main
from tests.conftest import REPOSITORY
from tests.tiny import TinyMatching, inputs_of, with_tiny_text

SCHEMAS = Path(mmkeras.__file__).parent / "schemas"
FLAGS = {"demo": False, "record": False}
OWN = """
[model.task.options]
pairs = 1
mmd = 0.1
[train]
epochs = 1
[evaluate]
bootstrap = 20
pictures = 2
[search]
samples = 40
[export]
samples = 24
formats = ["tflite"]
precisions = ["float32", "int8"]
max_metric_drop = 100
max_flips = 100
"""


@pytest.mark.slow
def test_the_demonstration_goes_from_drawn_shapes_to_searched_towers(tmp_path: Path):
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    places = ["--data.folder", "data", "--runs", "runs", "--export.folder", "saved"]
    command = [sys.executable, "-m", "pipelines.matching", "--demo", "--config", "own.toml", *places]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "COLUMNS": "160"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    metrics = json.loads((tmp_path / "runs/matching_demo/latest/metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, json.loads((SCHEMAS / "metrics.schema.json").read_text("utf-8")))
    assert metrics["provenance"]["notice"] == NOTICE
    assert metrics["rerank"].keys() == {"top", "image_to_text", "text_to_image"}
    measured = {(entry["tower"], entry["precision"]) for entry in metrics["towers"]}
    assert measured >= {("image", "float32"), ("text", "float32")}
    exact = [entry for entry in metrics["towers"] if entry["precision"] == "float32"]
    assert [entry["flips"] for entry in exact] == [0, 0]
    assert Bundle.open(tmp_path / "saved" / "matching_demo.text_tower").task.kind == "embedding"


def test_the_generated_set_has_captions_of_its_pictures(tmp_path: Path):
    write_demo(tmp_path, photos=10)
    lines = (tmp_path / "captions.tsv").read_text("utf-8").splitlines()
    assert len(lines) == 51
    assert sum(line.startswith("dev") for line in lines) == 10
    assert all((tmp_path / "images" / line.split("\t")[1]).is_file() for line in lines[1:])


def test_the_first_answers_are_judged_as_the_whole_model_judges_each_pair(tmp_path: Path):
    config = with_tiny_text(TinyMatching(), tmp_path, "none")
    model, task, specs = build_model(config), task_spec(config), modality_specs(config)
    inputs = inputs_of(config)
    targets = np.stack([np.asarray(task.encode(name)) for name in "abcd"])
    samples = Samples(inputs, targets, np.ones(4, np.float32))
    found = reranked_recall(model, samples, specs, task, Bootstrap(20), 2, 4)  # type: ignore[arg-type]

    def answer(image: int, text: int) -> Any:
        """Return cosine and probability of one pair."""
        rows = {k: v[[image if k.startswith("image") else text]] for k, v in inputs.items()}
        outputs = {name: np.asarray(value) for name, value in model(rows, training=False).items()}
        return float((outputs["image_embedding"] * outputs["text_embedding"]).sum()), float(outputs["match"][0, 0])

    pairs = np.array([[answer(image, text) for text in range(4)] for image in range(4)])
    for way, table in (("image_to_text", pairs), ("text_to_image", pairs.transpose(1, 0, 2))):
        before, after = [], []
        for row in range(4):
            near = np.argsort(-table[row, :, 0], kind="stable")[:2]
            before.append(near[0] == row)
            after.append(near[table[row, near, 1].argmax()] == row)
        assert found[way]["before"]["value"] == pytest.approx(np.mean(before))
        assert found[way]["after"]["value"] == pytest.approx(np.mean(after))
        assert found[way]["gain"]["value"] == pytest.approx(np.mean(after) - np.mean(before))


def test_without_data_it_says_where_the_set_can_be_had(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Flickr8k (8,000 photos" in said
    assert "for non-commercial research" in said


def _with(source: Choice, **others: Any) -> MatchingConfig:
    return dataclasses.replace(MatchingConfig(), data=DataConfig(source, **others))


def _paired(config: MatchingConfig) -> MatchingModel:
    return dataclasses.replace(config.model, task=Choice("matching", {"pairs": 1}))


def test_what_is_recorded_under_which_name():
    story = MatchingStory()
    flickr = _with(Choice("flickr8k", {"folder": "f"}))
    emoji = _with(Choice("emoji", {"folder": "e", "language": "zh"}))
    assert (story.named(flickr), story.named(emoji)) == ("matching", "matching.emoji.zh")
    assert story.named(_with(Choice("flickr8k", {"folder": "f", "paired": 0.1}))) == ""
    for good in (flickr, emoji):
        story.check_numbers(good)
    for wrong in (
        _with(Choice("flickr8k", {"measured": "test"})),
        _with(Choice("flickr8k"), limit=9),
        _with(Choice("emoji", {"held_out": "google"})),
        _with(Choice("emoji", {"language": "de"})),
        _with(Choice("captions", {"path": "a.csv"})),
    ):
        with pytest.raises(ConfigError, match="--record: expected the source flickr8k"):
            story.check_numbers(wrong)


def test_a_number_is_not_recorded_with_other_settings_than_it_names():
    flickr, emoji = _with(Choice("flickr8k", {"folder": "f"})), _with(Choice("emoji", {"folder": "e"}))
    few = _with(Choice("flickr8k", {"folder": "f", "paired": 0.1}))
    short = dataclasses.replace(flickr, model=_paired(flickr), search=dataclasses.replace(flickr.search, rerank=5))
    for wrong, said in (
        (few, r"paired = 1 or alone\.modalities, got paired = 0\.1"),
        (dataclasses.replace(few, alone=AloneConfig((NO_MMD,), (0, 1))), r"3 seeds in alone\.seeds"),
        (dataclasses.replace(emoji, model=_paired(emoji)), "emoji without a head for pairs"),
        (short, r"search\.rerank 20, got 5"),
    ):
        with pytest.raises(ConfigError, match=said):
            MatchingStory().check_numbers(wrong)
    MatchingStory().check_numbers(dataclasses.replace(few, alone=AloneConfig((NO_MMD,), (0, 1, 2))))


def test_numbers_are_those_of_the_configuration():
    story = MatchingStory()
    test = {
        f"{way}_recall_{k}": {"value": k / 20, "low": k / 25, "high": k / 15}
        for way in ("image_to_text", "text_to_image")
        for k in (1, 5, 10)
    }
    found = story.numbers({"provenance": {"source": "flickr8k"}, "test": test})
    assert sorted(found) == sorted(f"matching.flickr8k.{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10))
    assert found["matching.flickr8k.t2i_r5"] == pytest.approx((25, 20, 100 / 3))
    about = {"source": "emoji", "language": "zh"}
    assert list(story.numbers({"provenance": about, "test": test})) == ["matching.emoji.zh"]
    rerank = {"top": 20, "text_to_image": {"gain": {"value": 0.02, "low": None, "high": None}}}
    found = story.numbers({"provenance": {"source": "flickr8k"}, "test": test, "rerank": rerank})
    assert found == {"matching.rerank_gain": pytest.approx((2.0, None, None))}


def test_a_modality_alone_and_a_comparison_without_a_discrepancy_are_refused():
    story = MatchingStory()
    config = _with(Choice("flickr8k", {"folder": "f"}))
    alone = dataclasses.replace(config, alone=AloneConfig(("image",)))
    with pytest.raises(ConfigError, match="image alone matches nothing"):
        story.configured(alone, FLAGS)
    compared = dataclasses.replace(config, alone=AloneConfig((NO_MMD,)))
    with pytest.raises(ConfigError, match=r"compares with model\.task\.options\.mmd"):
        story.configured(compared, FLAGS)
    model = MatchingModel(task=Choice("matching", {"mmd": 2.0, "size": 9}))
    compared = dataclasses.replace(compared, model=model)
    assert story.configured(compared, FLAGS).variant(f"{NO_MMD}_alone").task.options == {"mmd": 0.0, "size": 9}
    with pytest.raises(ConfigError, match="--demo generates a set for the source flickr8k"):
        story.configured(_with(Choice("emoji")), {**FLAGS, "demo": True})
