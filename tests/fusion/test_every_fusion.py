"""What holds for every fusion; a new file in mmkeras/fusion is tested here without another line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from mmkeras.core.components import check_options, find, names
from mmkeras.core.errors import ConfigError
from mmkeras.layers.tokens import Tokens
from tests.fusion.helpers import SIZES, WIDTH, assert_same, call, fusion_model, random_tokens, with_masked_content

pytestmark = pytest.mark.tfio

FUSIONS = [name for name in names("fusion") if "pooled" in find("fusion", name).GIVES]


@pytest.fixture(params=FUSIONS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    keras.utils.set_random_seed(0)
    return {name: fusion_model(name) for name in FUSIONS}


@pytest.fixture
def model(name: str, models: dict[str, keras.Model]) -> keras.Model:
    return models[name]


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_the_strategies_are_there():
    assert set(FUSIONS) >= {"attention_pooling", "concat", "cross_attention", "gated", "max", "mean"}
    assert set(names("fusion")) - set(FUSIONS) == {"none"}


def test_shapes(model: keras.Model):
    outputs = call(model, random_tokens())
    assert outputs["pooled"].shape == (3, WIDTH)
    if "tokens" not in outputs:
        return
    batch, tokens, width = outputs["tokens"].shape
    assert (batch, width) == (3, WIDTH)
    assert outputs["mask"].shape == (batch, tokens)
    assert set(np.unique(outputs["mask"])) <= {0, 1}
    assert model.output["tokens"].shape[1] == tokens, "the number of tokens must be static"


def test_a_fusion_that_gives_a_map_keeps_the_grid_and_says_whose_tokens_it_is_of(name: str):
    tokens = {
        each: Tokens(keras.Input((6, WIDTH)), keras.Input((6,), dtype="int32"), grid=(2, 3), of=(each,))
        for each in ("camera", "radar")
    }
    fused = find("fusion", name).fuse(tokens)
    if "map" not in find("fusion", name).GIVES:
        assert fused.tokens is None
        return
    assert fused.tokens.grid == (2, 3)
    assert fused.tokens.of
    assert set(fused.tokens.of) <= set(tokens)


def test_layers_carry_the_fusion_prefix(model: keras.Model):
    layers = [layer.name for layer in model.layers if layer.weights]
    assert layers
    assert all(layer.startswith("fusion_") for layer in layers)


@pytest.mark.parametrize("sizes", [{"text": 4}, {"image": 3, "radar": 4, "text": 2}, {"image": 1, "text": 1}])
def test_any_number_of_modalities(name: str, sizes: dict[str, int]):
    outputs = call(fusion_model(name, sizes), random_tokens(sizes))
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert outputs["pooled"].shape == (3, WIDTH)


def test_saved_and_reloaded_bit_for_bit(model: keras.Model, tmp_path: Path):
    inputs = random_tokens()
    model.save(tmp_path / "model.keras")
    assert_same(call(model, inputs), call(keras.models.load_model(tmp_path / "model.keras"), inputs))


@pytest.mark.parametrize("content", [0.0, 1e6, -3e38, np.inf, np.nan])
def test_masked_tokens_have_no_influence(model: keras.Model, content: float):
    inputs = random_tokens()
    expected = call(model, inputs)
    assert_same(expected, call(model, with_masked_content(inputs, content)))
    if "tokens" in expected:
        np.testing.assert_array_equal(expected["tokens"][expected["mask"] == 0], 0.0)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(data=st.data())
def test_masked_tokens_have_no_influence_for_any_mask(models: dict[str, keras.Model], data: st.DataObject):
    name = data.draw(st.sampled_from(FUSIONS))
    inputs = random_tokens(batch=1)
    for modality, size in SIZES.items():
        rest = data.draw(st.lists(st.integers(0, 1), min_size=size - 1, max_size=size - 1))
        inputs[f"{modality}_mask"] = np.array([[1, *rest]], "int32")
    expected = call(models[name], inputs)
    assert all(np.isfinite(value).all() for value in expected.values())
    assert_same(expected, call(models[name], with_masked_content(inputs, 1e6)))


def _gradients(model: keras.Model, inputs: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return the gradients of a loss on all outputs, by modality and by weight."""
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    values = {key: tensors[key] for key in SIZES}
    with tf.GradientTape() as tape:
        tape.watch(values)
        outputs = model(tensors, training=False)
        # Not a plain sum: that of normalised tokens has no gradient.
        loss = sum(tf.reduce_sum(tf.sin(3.0 * outputs[key] + 0.5)) for key in outputs if key != "mask")
    by_value, by_weight = tape.gradient(loss, (values, model.trainable_weights))
    assert all(gradient is not None for gradient in by_weight), "a weight has no part in the result"
    return {key: value.numpy() for key, value in by_value.items()}, [value.numpy() for value in by_weight]


def test_gradients_reach_every_weight_and_every_real_token(model: keras.Model, name: str):
    inputs = random_tokens()
    by_value, by_weight = _gradients(model, inputs)
    for weight, gradient in zip(model.trainable_weights, by_weight, strict=True):
        # Softmax does not change when all its logits move by the same amount: a key's bias has no effect.
        assert np.any(gradient) or weight.path.endswith("key/bias"), weight.path
    for modality, gradient in by_value.items():
        real = inputs[f"{modality}_mask"] == 1
        reached = np.any(gradient[real] != 0, axis=-1)
        # A maximum has the gradient of the largest values alone.
        assert np.any(reached) if name == "max" else np.all(reached), modality
        np.testing.assert_array_equal(gradient[~real], 0.0, err_msg=modality)


def test_masked_tokens_have_no_influence_on_gradients(model: keras.Model):
    inputs = random_tokens()
    expected, changed = (_gradients(model, each)[1] for each in (inputs, with_masked_content(inputs, 1e6)))
    for first, second in zip(expected, changed, strict=True):
        np.testing.assert_array_equal(second, first)


@pytest.mark.parametrize("missing", SIZES)
def test_a_missing_modality_is_one_null_token(model: keras.Model, name: str, missing: str):
    inputs = random_tokens()
    inputs[f"{missing}_mask"] = np.eye(SIZES[missing], dtype="int32")[[0, 0, 0]]
    short = fusion_model(name, SIZES | {missing: 1})
    short.set_weights(model.get_weights())
    cut = inputs | {missing: inputs[missing][:, :1], f"{missing}_mask": inputs[f"{missing}_mask"][:, :1]}
    np.testing.assert_allclose(call(model, inputs)["pooled"], call(short, cut)["pooled"], atol=2e-6)


def test_one_sample_does_not_see_another(model: keras.Model):
    inputs = random_tokens()
    whole = call(model, inputs)["pooled"]
    alone = [call(model, {key: value[i : i + 1] for key, value in inputs.items()})["pooled"][0] for i in range(3)]
    np.testing.assert_allclose(whole, alone, atol=2e-6)


def test_mixed_precision(model: keras.Model, name: str, bfloat16: None):
    mixed = fusion_model(name)
    mixed.set_weights(model.get_weights())
    assert mixed.output["pooled"].dtype == "bfloat16"
    inputs = random_tokens()
    np.testing.assert_allclose(call(mixed, inputs)["pooled"], call(model, inputs)["pooled"], atol=0.1)
    assert_same(call(mixed, inputs), call(mixed, with_masked_content(inputs, 1e6)))


def test_attention_weights_can_be_read_after_reloading(models: dict[str, keras.Model], tmp_path: Path):
    attending = set()
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        reloaded = keras.models.load_model(tmp_path / f"{name}.keras")
        layers = [layer for layer in reloaded.layers if isinstance(layer, keras.layers.MultiHeadAttention)]
        if not layers:
            continue
        attending.add(name)
        read = keras.Model(reloaded.inputs, {layer.name: layer.output[1] for layer in layers})
        for layer_name, weights in call(read, random_tokens()).items():
            assert layer_name.startswith("fusion_")
            assert weights.ndim == 4
            np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
    assert attending >= {"attention_pooling", "cross_attention"}


def test_dropout_is_for_training_only(name: str):
    model = fusion_model(name, dropout=0.5)
    inputs = random_tokens()
    assert_same(call(model, inputs), call(model, inputs))
    assert np.any(call(model, inputs, training=True)["pooled"] != call(model, inputs)["pooled"])


def test_options_are_keywords_with_defaults_and_words(name: str):
    fuse = find("fusion", name).fuse
    check_options(fuse, dict(fuse.__kwdefaults__), "model.fusion.options")
    assert all(f"{option}: " in fuse.__doc__ for option in fuse.__kwdefaults__)


def test_an_unknown_option_is_answered_with_the_nearest(name: str):
    with pytest.raises(ConfigError, match=r"model\.fusion\.options\.dropuot: unknown option; did you mean 'dropout'"):
        check_options(find("fusion", name).fuse, {"dropuot": 0.1}, "model.fusion.options")


@pytest.mark.parametrize("options", [{"layers": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_options_out_of_range(name: str, options: dict[str, Any]):
    with pytest.raises(ConfigError, match=next(iter(options))):
        fusion_model(name, **options)


def test_no_modality_and_unequal_widths(name: str):
    fuse = find("fusion", name).fuse
    with pytest.raises(ConfigError, match="at least one modality"):
        fuse({})
    unequal = {
        modality: Tokens(keras.Input((3, width)), keras.Input((3,), dtype="int32"))
        for modality, width in (("image", 8), ("text", 16))
    }
    with pytest.raises(ConfigError, match=r"one width, got \{'image': 8, 'text': 16\}"):
        fuse(unequal)


def test_becomes_litert_with_builtin_operators_only(model: keras.Model, tmp_path: Path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = {
        key: keras.InputSpec(shape=(1, *x.shape[1:]), dtype=x.dtype, name=key) for key, x in model.input.items()
    }
    archive.add_endpoint("serve", lambda inputs: model(inputs, training=False), input_signature=[signature])
    archive.write_out(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = interpreter.Interpreter(model_content=converter.convert()).get_signature_runner()
    for seed in range(3):
        inputs = random_tokens(batch=1, seed=seed)
        found = runner(**inputs)
        for key, expected in call(model, inputs).items():
            np.testing.assert_allclose(found[key], expected, atol=2e-6, err_msg=key)
