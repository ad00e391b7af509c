"""Pipelines on public data: what they say without data, the demonstration, and each modality alone."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.components import Choice
from mmkeras.core.errors import ConfigError
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.classification.spec import Spec
from pipelines import vqa
from pipelines._stages import public
from pipelines._stages.alone import _compared
from pipelines._stages.alone_config import AloneConfig
from pipelines._stages.public import PublicStory, fusion_gain
from pipelines._stages.story import run_story
from tests.pipelines.conftest import Place
from tests.tiny import write_tiny_table

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))


class Signs(PublicStory[vqa.VqaConfig]):
    """A pipeline on a table."""

    needs = "Expected a table of signs. The public set: example.org, CC0."

    def demo(self, config: vqa.VqaConfig, folder: Path) -> None:
        write_tiny_table(folder, 60)

    def demo_config(self, config: vqa.VqaConfig, folder: Path) -> vqa.VqaConfig:
        source = Choice("table", {**config.data.source.options, "path": str(folder / "table.csv")})
        return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))


def _run(arguments: list[str]) -> int:
    program, about = Path(vqa.__file__), "Signs.\n\nMore."
    return run_story(vqa.VqaConfig, arguments, program=program, description=about, story=Signs())


def test_without_data_a_pipeline_says_what_it_needs(capsys):
    assert _run([]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "No data is named. Expected a table of signs. The public set: example.org, CC0. Without data: --demo" in said
    with pytest.raises(SystemExit):
        _run(["--help"])
    assert "Signs. Expected a table of signs." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.source.options.path", "a.csv"], "--demo generates its own data; leave out data.source.options.path"),
        (["--record"], "numbers of generated data are not recorded"),
    ],
)
def test_a_demonstration_has_no_data_and_no_numbers(capsys, monkeypatch, more: list[str], message: str):
    monkeypatch.setattr(Signs, "check_numbers", lambda *_: None)
    assert _run(["--demo", *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_generated_set_is_written_once_whole_and_marked(tmp_path: Path, monkeypatch, capsys):
    from mmkeras.core.console import Console

    monkeypatch.chdir(tmp_path)
    story = Signs()
    config = story.configured(vqa.VqaConfig(), {"demo": True, "record": None})
    assert config.name == "vqa_demo"
    folder = Path(config.data.source.options["path"]).parent
    assert story.provenance(config) == {}
    story.prepare(config, Console())
    assert (folder / "table.csv").is_file()
    assert story.provenance(config) == {"notice": public.NOTICE}
    written = (folder / "table.csv").stat().st_mtime_ns
    story.prepare(config, Console())
    assert (folder / "table.csv").stat().st_mtime_ns == written
    (folder / public.DEMO).unlink()  # stopped before it was whole
    story.prepare(config, Console())
    assert (folder / public.DEMO).is_file()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


# === Each modality alone ===


def test_an_unknown_modality_is_refused_before_the_data_is_read(tmp_path: Path, capsys):
    arguments = ["--alone.modalities", "image", "txt", "--data.folder", str(tmp_path / "data"), "--runs", str(tmp_path)]
    assert vqa.main(arguments) == 2
    assert "alone.modalities: the model has no modality 'txt'" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_a_modality_alone_has_the_models_settings_and_no_other_input():
    fusion = Choice("cross_attention", {"query": "text", "layers": 1})
    model = vqa.VqaModel(image=ImageConfig(), text=TextConfig(), fusion=fusion)
    config = vqa.VqaConfig(model=model)
    assert config.variant("fused") is model
    image, text = config.variant("image_alone"), config.variant("text_alone")
    assert (image.without, text.without) == (("text",), ("image",))
    assert image.fusion.options == {"layers": 1, "pooling": "mean"}
    assert text.fusion.options == {"layers": 1}
    assert config.compared_alone == ("image", "text")
    with pytest.raises(ConfigError, match=r"alone\.modalities: the model has no modality 'txt'.*'text'"):
        _ = dataclasses.replace(config, alone=AloneConfig(modalities=("txt",))).compared_alone
    single = dataclasses.replace(config, model=dataclasses.replace(model, without=("text",)))
    assert single.compared_alone == ()


def _draws(right: np.ndarray, groups: np.ndarray) -> Any:
    """Score answers that are right where ``right`` is true."""
    task = Spec(labels=("a", "b"))
    logits = np.where(right[:, None], [[9.0, 0.0]], [[0.0, 9.0]]).astype(np.float32)
    evidence = task.evidence(np.zeros(len(right), np.int32), {task.outputs[0].name: logits})
    return Bootstrap(400, 0.95, 0).score(task, evidence, None, groups, only=("accuracy",))


@pytest.mark.parametrize(
    ("image", "helps", "said"), [(0.6, True, "Fusion helps"), (0.8, False, "not shown to help"), (0.95, False, "harm")]
)
def test_the_gain_of_a_fusion_is_that_of_simulated_answers(image: float, helps: bool, said: str):
    rng, groups = np.random.default_rng(3), np.repeat(np.arange(400), 2)
    right = {"fused": 0.8, "image_alone": image, "text_alone": 0.5}
    draws = {
        name: {seed: _draws(rng.random(800) < share, groups) for seed in ("0", "1")} for name, share in right.items()
    }
    result = _compared(draws, ("image", "text"), "accuracy", 1) | {"still_improving": []}
    gain = result["fusion_gain"]
    assert result["best"] == "image"
    assert gain["low"] < 0.8 - image < gain["high"]
    assert gain["high"] - gain["low"] < 0.1
    assert result["helps"] is helps
    assert said in result["text"]
    assert fusion_gain({"alone": result}).value == pytest.approx(100 * gain["value"])
    assert fusion_gain({"alone": result}, "text").value == pytest.approx(30, abs=5)
    jsonschema.validate(result, {**SCHEMA["properties"]["alone"], "$defs": SCHEMA["$defs"]})
    with pytest.raises(ConfigError, match="expected each modality alone"):
        fusion_gain({})


def test_each_modality_is_trained_alone_and_reported(place: Place, tmp_path: Path):
    folder = tmp_path / "runs" / "undisturbed" / "again"
    shutil.copytree(place.run("undisturbed"), folder)
    (folder / "metrics.json").unlink()
    config = folder / "config.toml"
    text = config.read_text()
    assert "modalities = []" in text
    config.write_text(text.replace("modalities = []", 'modalities = ["text"]'))
    assert vqa.main(["--resume", str(folder), "--skip_export"]) == 0
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    alone = metrics["alone"]
    assert list(alone["modalities"]) == ["text"]
    assert alone["fused"]["score"]["value"] == metrics["test"]["accuracy"]["value"]
    assert "text alone" in (folder / "report.html").read_text("utf-8")
    assert sorted(path.name for path in (folder / "comparison").iterdir()) == ["fused-0", "text_alone-0"]
