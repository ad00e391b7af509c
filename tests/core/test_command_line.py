from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.command_line import Flag, parse, read_toml, to_toml
from mmkeras.core.config import RunConfig, StageConfig
from mmkeras.core.errors import ConfigError
from pipelines.camera_radar import CameraRadarConfig
from pipelines.vqa import VqaConfig


def _parse(*arguments: str, defaults: Path | None = None) -> RunConfig:
    config, _ = parse(RunConfig, arguments, program="test", description="A test.", defaults=defaults)
    return config


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_options_win_over_files_and_files_over_the_programs_defaults(tmp_path):
    defaults = _file(tmp_path, "[train]\nepochs = 4\nbatch_size = 8\nseed = 5\n")
    own = tmp_path / "own.toml"
    own.write_text("[train]\nbatch_size = 16\nseed = 6\n")
    train = _parse("--config", str(own), "--train.seed", "7", defaults=defaults).train
    assert (train.epochs, train.batch_size, train.seed) == (4, 16, 7)


def test_component_options_are_free_here_and_kept(tmp_path):
    config = _parse("--model.fusion.name", "gated", "--model.fusion.options.heads", "3")
    assert config.model.fusion.name == "gated"
    assert config.model.fusion.options == {"heads": 3}


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["tflite", "onnx"], ("tflite", "onnx")), (["onnx"], ("onnx",)), (['["onnx"]'], ("onnx",)), (["[]"], ())],
)
def test_an_option_takes_several_values_or_a_list(values: list[str], expected: tuple[str, ...]):
    config = _parse("--export.formats", *values, "--train.epochs", "3")
    assert (config.export.formats, config.train.epochs) == (expected, 3)


def test_the_command_of_the_comparison_is_understood():
    told = [
        "--compare.seeds",
        "0",
        "1",
        "2",
        "--compare.once",
        '["radar_as_channels"]',
        "--model.camera.centre",
        "9",
        "5",
    ]
    config, _ = parse(CameraRadarConfig, told, program="t", description="")
    assert (config.compare.seeds, config.compare.once) == ((0, 1, 2), ("radar_as_channels",))
    assert config.model.camera.centre == (9.0, 5.0)
    with pytest.raises(ConfigError, match=r"compare\.seeds"):
        parse(CameraRadarConfig, ["--compare.seeds", "0", "one"], program="t", description="")


@pytest.mark.parametrize(("values", "expected"), [(["image", "text"], ("image", "text")), (["[]"], ()), ([], None)])
def test_several_values_may_also_be_left_out(values: list[str], expected: tuple[str, ...] | None):
    arguments = ["--alone.modalities", *values] if values else []
    config, _ = parse(VqaConfig, arguments, program="t", description="")
    assert config.alone.modalities == expected


def test_a_configuration_survives_being_written_and_read(tmp_path):
    config = _parse("--train.epochs=3", "--train.ema=0.99", "--data.source.options.path", "a.csv")
    assert _parse("--config", str(_file(tmp_path, to_toml(config)))) == config


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("--train.epoch=3", "train.epochs"),
        ("--train.learning_rte", "train.learning_rate"),
        ("--trian.epochs", "train.epochs"),
        ("--resum", "resume"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(argument, nearest):
    with pytest.raises(ConfigError, match=f"unknown option; did you mean '{nearest}'"):
        parse(RunConfig, [argument], program="t", description="", flags=[Flag("resume", "Go on.")])


def test_every_problem_of_a_file_is_reported_at_once(tmp_path):
    path = _file(tmp_path, '[train]\nepoch = 1\nbatch_size = "many"\n[modle]\nwidth = 3\n')
    with pytest.raises(ConfigError) as caught:
        _parse("--config", str(path))
    message = str(caught.value)
    assert f"{path}: train.epoch: unknown key; did you mean 'train.epochs'?" in message
    assert f"{path}: train.batch_size: expected int, got 'many' (str)" in message
    assert f"{path}: modle: unknown key; did you mean 'model'?" in message


@pytest.mark.parametrize("text", ["data = 5", "data = [1]", "[[data]]\nsource = {}"])
def test_what_is_no_table_is_named(tmp_path, text):
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.toml: data: expected a table of options, got"):
        _parse("--config", str(path))


def test_an_unknown_key_of_a_stage_is_answered_with_the_nearest(tmp_path):
    path = _file(tmp_path, '[[stages]]\nname = "pretrain"\nmethd = "masked"\n')
    for arguments in (["--config", str(path)], ["--stages", '[{"name": "a", "methd": "b"}]']):
        with pytest.raises(ConfigError, match=r"stages.methd: unknown key; did you mean 'method'"):
            _parse(*arguments)


def test_stages_survive_being_written_and_read(tmp_path):
    text = '[[stages]]\nname = "a"\noptions = {share = 0.5}\ntrain = {epochs = 3}\n[[stages]]\nname = "b"\n'
    config = _parse("--config", str(_file(tmp_path, text)))
    assert config.stages == (StageConfig("a", options={"share": 0.5}, train={"epochs": 3}), StageConfig("b"))
    assert _parse("--config", str(_file(tmp_path, to_toml(config)))) == config


def test_a_number_without_a_float_is_refused(tmp_path):
    path = _file(tmp_path, f"[data]\ntrain_share = 1{'0' * 400}\n")
    with pytest.raises(ConfigError, match=r"data\.train_share: expected float, got 1000"):
        _parse("--config", str(path))
    with pytest.raises(ConfigError, match="got one too large"):
        _parse(f"--data.train_share=1{'0' * 400}")


def test_a_wrong_type_on_the_command_line_names_the_key():
    with pytest.raises(ConfigError, match=r"train\.epochs.*int.*three"):
        _parse("--train.epochs", "three")


def test_a_missing_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        _parse("--config", str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigError, match=r"config\.toml: is not valid TOML.*line 1"):
        read_toml(_file(tmp_path, "epochs = = 3\n"))


def test_help_shows_the_docstring_of_a_field(capsys):
    with pytest.raises(SystemExit):
        _parse("--help")
    assert "Peak learning rate of AdamW." in " ".join(capsys.readouterr().out.split())


def test_print_config_prints_toml_that_can_be_read_back(capsys, tmp_path):
    with pytest.raises(SystemExit):
        _parse("--train.epochs", "3", "--print_config")
    printed = read_toml(_file(tmp_path, capsys.readouterr().out))
    assert printed["train"]["epochs"] == 3
    assert printed["model"]["fusion"]["name"] == "cross_attention"


def test_a_flag_may_have_a_value_or_none():
    flags = [Flag("resume", "Go on.", value=True)]
    for arguments, value in (((), None), (("--resume",), "latest"), (("--resume", "runs/a"), "runs/a")):
        _, chosen = parse(RunConfig, arguments, program="t", description="", flags=flags)
        assert chosen == {"resume": value}
