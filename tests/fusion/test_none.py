"""Modalities that stay apart, for heads that look at each by itself."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from mmkeras.core.components import Choice
from mmkeras.core.errors import ConfigError
from mmkeras.fusion.none import fuse
from mmkeras.layers.tokens import Tokens
from mmkeras.model import build_model
from tests.tiny import tiny_drive_config, tiny_model_config


def test_nothing_is_merged_and_widths_are_checked():
    tokens = {name: Tokens(keras.Input((3, 8)), keras.Input((3,), dtype="int32")) for name in ("image", "text")}
    fuse(tokens)
    with pytest.raises(ConfigError, match="one width"):
        fuse({**tokens, "radar": Tokens(keras.Input((3, 4)), keras.Input((3,), dtype="int32"))})


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("classification", {"labels": ["a", "b"]}),
        ("multilabel", {"labels": ["a", "b"]}),
        ("regression", {"mean": [0.0], "std": [1.0]}),
    ],
)
def test_a_task_that_needs_one_vector_names_the_fusions_that_give_one(tmp_path: Path, task: str, options: dict):
    config = tiny_model_config(tmp_path, fusion="none", task=Choice(task, options))
    said = rf"model\.fusion\.name: the task {task} needs one vector .* attention_pooling, channels, concat, .* mean"
    with pytest.raises(ConfigError, match=said):
        build_model(config)


def test_a_task_that_needs_a_map_names_the_fusions_that_give_one():
    said = r"model\.fusion\.name: .* 'none' gives no map\. .* channels, cross_attention, spatial_attention\."
    with pytest.raises(ConfigError, match=said):
        build_model(tiny_drive_config(fusion_name="none"))
