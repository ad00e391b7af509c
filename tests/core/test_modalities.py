"""Options of modalities that share the weights of one branch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.command_line import parse, to_toml
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import branches, check_sharing, modality_configs

PAIR = """
[model.left]
kind = "image"
size = [64, 64]
flip = true
[model.right]
kind = "image"
shares_weights_with = "left"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "pair.toml"
    path.write_text(PAIR)
    return str(path)


def _model(*arguments: str) -> ModelConfig:
    return parse(RunConfig, arguments, program="t", description="")[0].model


def test_what_is_left_out_is_as_in_the_shared_branch(file: str):
    found = modality_configs(_model("--config", file, "--model.left.level", "3"))
    assert (found["right"].size, found["right"].level) == ((64, 64), 3)
    assert not found["right"].flip, "augmentation belongs to the input"


def test_it_is_read_back_and_printed(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = parse(RunConfig, ["--config", file], program="t", description="")[0]
    (tmp_path / "config.toml").write_text(to_toml(config))
    assert _model("--config", str(tmp_path / "config.toml")) == config.model
    with pytest.raises(SystemExit):
        _model("--config", file, "--print_config")
    (tmp_path / "printed.toml").write_text(capsys.readouterr().out)
    assert _model("--config", str(tmp_path / "printed.toml")) == config.model


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model.right.size", "[224, 224]"), r"model\.right\.size: expected \(64, 64\), as in left, .* \(224, 224\)"),
        (("--model.right.learning_rate_factor", "0.5"), r"model\.right\.learning_rate_factor: expected 1\.0"),
        (("--model.right.frozen_stages", "2"), r"model\.right\.frozen_stages: expected 0"),
        (("--model.right.shares_weights_with", "lfet"), r"got 'lfet'; did you mean 'left'\?"),
        (("--model.left.shares_weights_with", "left"), r"expected another modality, got 'left'"),
        (("--model.left.shares_weights_with", "right"), "has no branch of its own"),
        (
            ("--model.w.kind=text", "--model.right.shares_weights_with=w"),
            "kind 'image', but w is 'text'",
        ),
    ],
)
def test_what_cannot_be_shared_is_named(file: str, arguments: tuple[str, ...], said: str):
    with pytest.raises(ConfigError, match=said):
        _model("--config", file, *arguments)


def test_a_difference_made_in_python_is_named(file: str):
    model: Any = _model("--config", file)
    other = dataclasses.replace(modality_configs(model)["right"], level=3)
    with pytest.raises(ConfigError, match=r"model\.right\.level"):
        check_sharing(dataclasses.replace(model, right=other))


def test_without_its_first_modality_a_branch_has_the_name_of_the_next(file: str):
    assert branches(_model("--config", file)) == {"left": ("left", "right")}
    assert branches(_model("--config", file, "--model.without", "left")) == {"right": ("right", "left")}
    assert branches(_model("--config", file, "--model.without", "right")) == {"left": ("left", "right")}
