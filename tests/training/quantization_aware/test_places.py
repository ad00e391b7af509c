"""Which layers become int8, and where the output of each one ends."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from mmkeras.core.errors import ConfigError
from mmkeras.model import build_model
from mmkeras.training.quantization_aware.places import find_places
from tests.tiny import tiny_drive_config, tiny_model_config


def sequence(*steps: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([layers.Conv2D(4, 1), layers.BatchNormalization(name="bn"), layers.ReLU(6.0, name="relu")], "relu"),
        ([layers.Conv2D(4, 1), layers.BatchNormalization(name="bn"), layers.Activation("relu6", name="relu")], "relu"),
        ([layers.Conv2D(4, 1), layers.BatchNormalization(name="bn"), layers.Activation("swish")], "bn"),
        ([layers.DepthwiseConv2D(3), layers.BatchNormalization(name="bn")], "bn"),
        ([layers.Conv2D(4, 1, name="conv"), layers.LeakyReLU()], "conv"),
        ([layers.Conv2D(4, 1, name="conv"), layers.ReLU(negative_slope=0.1)], "conv"),
        ([layers.Conv2D(4, 1, activation="relu", name="conv"), layers.BatchNormalization()], "conv"),
        ([layers.Dense(4, name="dense"), layers.Flatten()], "dense"),
    ],
)
def test_what_the_exporters_fold_belongs_to_the_layer(steps, end):
    (place,) = find_places(sequence(*steps))
    assert place.end.name == end
    assert not place.activation_within


def test_an_output_that_two_layers_read_ends_there():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    model = keras.Model(inputs, layers.Add()([x, layers.ReLU()(x)]))
    (place,) = find_places(model)
    assert place.end.name == "conv"


def test_an_activation_function_of_its_own_works_on_the_rounded_output():
    (place,) = find_places(sequence(layers.Conv2D(4, 1, activation="swish")))
    assert place.activation_within


def test_layers_in_branches_and_in_attention_are_found_with_their_paths(tmp_path):
    places = {place.path: place for place in find_places(build_model(tiny_model_config(tmp_path)))}
    assert places["image_branch/edge/stem_conv"].end.name == "stem_activation"
    assert places["fusion_cross_1/query"].summed == (0,)
    assert places["fusion_cross_1/attention_output"].summed == (0, 1)
    assert places["head_logits"].dense
    assert next(iter(places)) == "image_branch/edge/stem_conv", "in the order of the model"


def test_patterns_keep_layers_in_float():
    model = build_model(tiny_drive_config())
    every = {place.path for place in find_places(model)}
    left = {place.path for place in find_places(model, ["head_*", "camera_branch/edge/stem_conv"])}
    gone = every - left
    assert "camera_branch/edge/stem_conv" in gone
    assert all(path.startswith("head_") or path.endswith("stem_conv") for path in gone)
    assert len(gone) > 2


def test_a_pattern_that_fits_nothing_is_answered_with_the_nearest_layer():
    with pytest.raises(ConfigError, match=r"'head_heatmop'.*head_heatmap"):
        find_places(build_model(tiny_drive_config()), ["head_heatmop"])


def test_nothing_left_is_refused():
    with pytest.raises(ConfigError, match="got 1 of them, all kept"):
        find_places(sequence(layers.Conv2D(4, 1)), ["*"])
    with pytest.raises(ConfigError, match="got 0 of them"):
        find_places(sequence(layers.Flatten()))
