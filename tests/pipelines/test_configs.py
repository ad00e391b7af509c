from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

import pipelines
from mmkeras.core.command_line import parse, to_toml
from mmkeras.core.components import check_options, find
from mmkeras.core.modalities import modality_configs
from mmkeras.model import task_config

FOLDER = Path(pipelines.__file__).parent / "configs"
# Without table.toml, to which mmkeras fit adds path, target and modalities: tests/pipelines/test_fit.py.
FILES = sorted(set(FOLDER.glob("*.toml")) - {FOLDER / "table.toml"})


PIPELINES = sorted(path.stem for path in FOLDER.parent.glob("[!_]*.py"))


def _pipeline(path: Path) -> str:
    """The pipeline whose name the file's name begins with; the longest one."""
    return max((name for name in PIPELINES if f"{path.stem}_".startswith(f"{name}_")), key=len)


def _load(path: Path):
    module = importlib.import_module(f"pipelines.{_pipeline(path)}")
    config_class = getattr(module, f"{_pipeline(path).title().replace('_', '')}Config")
    defaults = FOLDER / f"{_pipeline(path)}.toml"
    config, _ = parse(config_class, ["--config", str(path)], program="t", description="", defaults=defaults)
    return config


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path):
    config = _load(path)
    assert modality_configs(config.model)
    check_options(find("fusion", config.model.fusion.name).fuse, config.model.fusion.options, "model.fusion.options")
    source = find("data.sources", config.data.source.name).Source
    # Where drives are simulated first, the folder is known only then.
    options = {"folder": "simulated"} | config.data.source.options
    options = options if "folder" in inspect.signature(source).parameters else config.data.source.options
    check_options(source, options, "data.source.options")
    source(**options)
    task_config(config.model)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_configuration_survives_the_run_folder(path, tmp_path):
    config = _load(path)
    copy = tmp_path / "config.toml"
    copy.write_text(to_toml(config))
    reread, _ = parse(type(config), ["--config", str(copy)], program="t", description="")
    assert reread == config
