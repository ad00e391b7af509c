"""A run's configuration is read back without the pipeline that wrote it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import tomlkit

from mmkeras.core.command_line import read_toml, to_toml
from mmkeras.core.components import Choice
from mmkeras.core.config import RunConfig, TrainConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import modality_configs
from mmkeras.model import modality_specs, task_spec
from mmkeras.training.quantization_aware.configuration import read_config
from mmkeras.training.run import Run
from tests.tiny import tiny_drive_config, tiny_model_config


def written(folder: Any, model: Any, **more: Any) -> Run:
    """Write what is read of a run's folder."""
    config = RunConfig(name="tiny", model=model, train=TrainConfig(epochs=3, learning_rate=5e-4, ema=0.99))
    content = {**tomlkit.parse(to_toml(config)).unwrap(), **more}
    (folder / "config.toml").write_text(tomlkit.dumps(content), encoding="utf-8")
    return Run(folder, modality_specs(model), task_spec(model), {})


@pytest.mark.parametrize("kind", ["vqa", "drive"])
def test_every_value_comes_back(tmp_path, kind):
    model = tiny_model_config(tmp_path) if kind == "vqa" else tiny_drive_config()
    got = read_config(written(tmp_path, model))
    assert got.train == TrainConfig(epochs=3, learning_rate=5e-4, ema=0.99)
    assert modality_configs(got.model) == modality_configs(model)
    assert got.model.fusion == model.fusion
    assert got.model.task == Choice(model.task.name, dict(model.task.options))


def test_sections_of_the_pipeline_alone_are_left_out(tmp_path):
    run = written(tmp_path, tiny_drive_config(), compare={"seeds": [0, 1]}, view={"focal": 150.0})
    assert {field.name for field in dataclasses.fields(read_config(run))} == {
        field.name for field in dataclasses.fields(RunConfig)
    }


def test_a_modality_that_the_model_was_built_without_is_left_out(tmp_path):
    model = tiny_drive_config(without=("radar",), fusion_name="mean")
    assert list(modality_configs(read_config(written(tmp_path, model)).model)) == ["camera"]


def test_a_damaged_file_is_answered_in_words(tmp_path):
    run = written(tmp_path, tiny_drive_config())
    path = tmp_path / "config.toml"
    path.write_text(path.read_text("utf-8").replace("learning_rate = 0.0005", 'learning_rat = "x"'), encoding="utf-8")
    assert "learning_rat" in str(read_toml(path))
    with pytest.raises(ConfigError, match=r"train\.learning_rat: unknown key"):
        read_config(run)
    path.write_text("[train\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_config(run)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(run)
