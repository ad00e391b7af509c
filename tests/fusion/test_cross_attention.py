"""What the encoder-decoder fusion promises beyond every fusion's contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from tests.fusion.helpers import SIZES, WIDTH, assert_same, call, fusion_model, random_tokens, with_masked_content

NAME = "cross_attention"


def _attention(model: keras.Model) -> dict[str, keras.layers.MultiHeadAttention]:
    return {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.MultiHeadAttention)}


@pytest.mark.parametrize(("query", "asking"), [("", "text"), ("text", "text"), ("image", "image")])
def test_the_last_modality_queries_unless_another_is_named(query: str, asking: str):
    inputs = random_tokens()
    outputs = call(fusion_model(NAME, query=query), inputs)
    np.testing.assert_array_equal(outputs["mask"], inputs[f"{asking}_mask"])


def test_attention_layers_are_named_and_numbered():
    assert set(_attention(fusion_model(NAME, layers=3))) == {
        f"fusion_{kind}_{i}" for kind in ("cross", "self") for i in (1, 2, 3)
    }
    assert set(_attention(fusion_model(NAME, layers=1, self_attention=False))) == {"fusion_cross_1"}
    assert set(_attention(fusion_model(NAME, {"text": 4}, layers=1))) == {"fusion_self_1"}


def test_attention_covers_real_memory_only():
    model = fusion_model(NAME, layers=1)
    inputs = random_tokens()
    read = keras.Model(model.inputs, {"weights": _attention(model)["fusion_cross_1"].output[1]})
    weights = call(read, inputs)["weights"]
    assert weights.shape == (3, 4, SIZES["text"], SIZES["image"])
    np.testing.assert_array_equal(weights.sum((1, 2)) > 0, inputs["image_mask"] == 1)


def test_memories_are_joined_in_the_order_of_the_dict():
    sizes = {"image": 3, "text": 2, "radar": 4}
    model = fusion_model(NAME, sizes, query="text", layers=1)
    inputs = random_tokens(sizes)
    read = keras.Model(model.inputs, {"weights": _attention(model)["fusion_cross_1"].output[1]})
    joined = np.concatenate([inputs["image_mask"], inputs["radar_mask"]], axis=1)
    np.testing.assert_array_equal(call(read, inputs)["weights"].sum((1, 2)) > 0, joined == 1)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_pooling(pooling: str):
    outputs = call(fusion_model(NAME, pooling=pooling), random_tokens())
    tokens, mask = outputs["tokens"], outputs["mask"][..., None]
    expected = tokens[:, 0] if pooling == "first" else (tokens * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(outputs["pooled"], expected, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"pooling": "mean"}, {"self_attention": False}, {"query": "image", "layers": 1}, {"feed_forward": 1}]
)
def test_options_keep_the_contract(options: dict[str, Any], tmp_path: Path):
    model = fusion_model(NAME, **options)
    inputs = random_tokens()
    expected = call(model, inputs)
    assert_same(expected, call(model, with_masked_content(inputs, 1e6)))
    model.save(tmp_path / "model.keras")
    assert_same(expected, call(keras.models.load_model(tmp_path / "model.keras"), inputs))


def test_the_first_token_may_be_masked_where_the_mean_is_taken():
    model = fusion_model(NAME, pooling="mean")
    inputs = random_tokens()
    inputs["text_mask"] = np.array([[0, 1, 0, 0, 1]] * 3, "int32")
    assert_same(call(model, inputs), call(model, with_masked_content(inputs, np.nan)))


def test_query_and_memory_both_matter():
    model = fusion_model(NAME)
    inputs = random_tokens()
    whole = call(model, inputs)["pooled"]
    for modality in SIZES:
        assert not np.allclose(
            call(model, inputs | {modality: inputs[modality] + 1.0 * np.arange(WIDTH)})["pooled"], whole
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "txet"}, "query: no modality is called 'txet'; did you mean 'text'"),
        ({"heads": 3}, r"heads: expected a divisor of the width 8 \(such as \[1, 2, 4, 8\]\), got 3"),
        ({"feed_forward": 0}, "feed_forward: expected at least 1, got 0"),
        ({"pooling": "frist"}, "did you mean 'first'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        fusion_model(NAME, **options)
