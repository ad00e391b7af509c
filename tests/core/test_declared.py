"""Modalities that a configuration names, without a class of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.command_line import parse, to_toml
from mmkeras.core.components import names
from mmkeras.core.config import RunConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import modality_configs
from pipelines.vqa import VqaConfig

PICTURES = """
[model.colour]
kind = "image"
size = [32, 64]
[model.thermal]
kind = "image"
architecture = "edge"
"""


def _parse(*arguments: str, config_class: type[RunConfig] = RunConfig) -> RunConfig:
    return parse(config_class, arguments, program="t", description="A test.")[0]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "pictures.toml"
    path.write_text(PICTURES)
    return str(path)


def test_a_table_with_a_kind_is_a_modality(file: str):
    config = _parse("--config", file, "--model.colour.flip", "true")
    found = modality_configs(config.model)
    assert list(found) == ["colour", "thermal"]
    assert (found["colour"].size, found["colour"].flip, found["thermal"].architecture) == ((32, 64), True, "edge")


def test_the_command_line_names_one_too():
    config = _parse("--model.words.kind", "text", "--model.words.max_length=7")
    assert modality_configs(config.model)["words"].max_length == 7


def test_a_program_keeps_its_own_modalities(file: str):
    config = _parse("--config", file, config_class=VqaConfig)
    assert isinstance(config, VqaConfig)
    assert list(modality_configs(config.model)) == ["image", "text", "colour", "thermal"]


def test_what_was_written_is_read_back(file: str, tmp_path: Path):
    config = _parse("--config", file)
    (tmp_path / "config.toml").write_text(to_toml(config))
    again = ("--config", str(tmp_path / "config.toml"))
    assert _parse(*again) == config
    assert parse(type(config), again, program="t", description="")[0] == config


def test_help_and_print_config_have_its_options(file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    with pytest.raises(SystemExit):
        _parse("--config", file, "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "--model.thermal.size [ITEM,...] Height and width that every image is resized to." in said
    assert "Width of the tokens that branches, fusion and head share." in said
    with pytest.raises(SystemExit):
        _parse("--config", file, "--print_config")
    (tmp_path / "printed.toml").write_text(capsys.readouterr().out)
    assert _parse("--config", str(tmp_path / "printed.toml")) == _parse("--config", file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--model.left.kind", "imgae"),
            "left.kind: no modality is of the kind 'imgae'; did you mean 'image'?",
        ),
        (("--model.left.size", "[8, 8]"), "To add a modality, set its kind to one of 'document', 'image'"),
        (("--model.fusoin.name", "mean"), "did you mean 'fusion'?"),
        (("--model.fusion.kind", "image"), "--model.fusion: is an option of the model"),
        (("--model.width.kind", "image"), "--model.width: is an option of the model"),
        (("--model.lambda.kind", "image"), "--model.lambda: expected a modality name of English letters"),
        (("--model.größe.kind", "image"), "--model.größe: expected a modality name of English letters"),
        (("--model.left-eye.kind", "image"), "--model.left-eye: expected a modality name of English letters"),
        (("--model.left.kind=image", "--model.left.sise=[8, 8]"), "did you mean 'model.left.size'?"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], said: str):
    with pytest.raises(ConfigError) as caught:
        _parse(*arguments)
    assert said in str(caught.value)


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path):
    path = tmp_path / "bad.toml"
    path.write_text('[model.left]\nkind = "radra"\n[model.task]\nkind = "image"\n[model.right]\nsize = [8, 8]\n')
    with pytest.raises(ConfigError) as caught:
        _parse("--config", str(path))
    keys = [line.removeprefix(f"{path}: ").split(":")[0] for line in str(caught.value).splitlines()]
    assert keys == ["model.left.kind", "model.task", "model.right"]


def test_what_the_command_line_does_is_not_blamed_on_a_file(file: str):
    with pytest.raises(ConfigError) as caught:
        _parse("--config", file, "--model.colour.kind", "imgae")
    assert str(caught.value).splitlines() == [
        "--model.colour.kind: no modality is of the kind 'imgae'; did you mean 'image'? Valid: 'document', 'image', "
        "'radar', 'series', 'tabular', 'text', 'video'"
    ]


def test_a_program_fixes_the_kind_of_its_own():
    with pytest.raises(ConfigError, match=r"model\.image\.kind: this model's image is of the kind 'image', got 'text'"):
        _parse("--model.image.kind", "text", config_class=VqaConfig)


@pytest.mark.parametrize("kind", names("modalities"))
def test_every_modality_can_be_named(kind: str):
    assert modality_configs(_parse("--model.one.kind", kind).model)["one"].kind == kind
