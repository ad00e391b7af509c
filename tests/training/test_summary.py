from __future__ import annotations

import keras
import pytest

from mmkeras.core.console import Console
from mmkeras.model import build_model
from mmkeras.training.summary import parts, summary_table
from tests.tiny import tiny_model_config


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> keras.Model:
    return build_model(tiny_model_config(tmp_path_factory.mktemp("summary")))


def test_the_parts_add_up_to_the_model(model):
    *found, total = parts(model)
    assert [part.name for part in found] == ["image branch", "text branch", "fusion and head"]
    assert total.parameters == model.count_params()
    for field in ("parameters", "trainable", "flops"):
        assert sum(getattr(part, field) for part in found) == getattr(total, field)
        assert all(getattr(part, field) > 0 for part in found)


def test_flops_of_a_dense_layer_are_two_per_weight():
    inputs = keras.Input((10,))
    model = keras.Model(inputs, keras.layers.Dense(20, use_bias=False)(inputs))
    assert parts(model)[-1].flops == pytest.approx(2 * 10 * 20, rel=0.05)


def test_the_table_names_every_part(model):
    console = Console(record=True, width=100)
    console.print(summary_table(model))
    text = console.export_text()
    assert "image branch" in text
    assert f"{model.count_params():,}" in text
