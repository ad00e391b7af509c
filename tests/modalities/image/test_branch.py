from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.layers.backbones.edge import edge_backbone
from mmkeras.layers.backbones.pictures import scale_as_trained
from mmkeras.layers.keras_files import load_weights
from mmkeras.modalities.image.branch import build
from mmkeras.modalities.image.spec import Config

pytestmark = pytest.mark.tfio


def _encoder(**options) -> keras.Model:
    config = Config(**{"size": (32, 32), "architecture": "edge", "width_factor": 0.25, "depth_factor": 0.3, **options})
    branch = build(config.spec("camera"), config, 16)
    return keras.Model(branch.inputs, (branch.tokens.values, branch.tokens.mask))


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_the_level_sets_the_stride(level):
    values, mask = _encoder(level=level)({"camera": np.zeros((2, 32, 32, 3), "uint8")})
    cells = (32 // 2**level) ** 2
    assert values.shape == (2, cells, 16)
    np.testing.assert_array_equal(mask, np.ones((2, cells), "int32"))


def test_any_size_gives_a_rounded_up_grid():
    values, _ = _encoder(size=(37, 50), level=3)({"camera": np.zeros((1, 37, 50, 3), "uint8")})
    assert values.shape == (1, 5 * 7, 16)


def test_features_are_averaged_to_cells_within_the_frozen_part():
    whole, few = (_encoder(level=3, cells=cells, frozen_stages=-1, position_embedding=False) for cells in ((), (2, 1)))
    few.set_weights(whole.get_weights())
    pixels = {"camera": np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")}
    every, averaged = (np.asarray(each(pixels)[0]) for each in (whole, few))
    # The projection behind the average is linear.
    np.testing.assert_allclose(averaged, every.reshape(2, 2, 8, 16).mean(axis=2), atol=1e-4)
    frozen = few.get_layer("camera_branch").get_layer("edge")
    assert frozen.outputs[0].shape[1:3] == (2, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cells": (3, 1)}, "expected divisors of the 4x4 features at level 3, got 3x1"),
        ({"cells": (0, 1)}, "cells: expected two numbers of at least 1"),
        ({"cells": (2,)}, "cells: expected two numbers"),
        ({"cells": (1, 1), "pyramid": True}, "and no pyramid"),
    ],
)
def test_cells_that_do_not_fit(options, said):
    with pytest.raises(ConfigError, match=said):
        _encoder(level=3, **options)


@pytest.mark.parametrize("architecture", ["EfficientNetB0", "EfficientNetV2B0"])
def test_keras_applications_at_a_finer_stride(architecture):
    encoder = _encoder(architecture=architecture, level=3, width_factor=1.0, depth_factor=1.0)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype("uint8")
    values, _ = encoder({"camera": pixels})
    assert values.shape == (1, 16, 16)
    assert np.isfinite(values).all()


def test_the_edge_preset_has_no_squeeze_and_excite_and_only_relu6():
    backbone = edge_backbone((32, 32, 3), width_factor=0.5)
    kinds = {type(layer).__name__ for layer in backbone.layers}
    assert kinds == {
        "Add",
        "BatchNormalization",
        "Conv2D",
        "DepthwiseConv2D",
        "InputLayer",
        "ReLU",
        "Rescaling",
    }
    assert {layer.max_value for layer in backbone.layers if isinstance(layer, keras.layers.ReLU)} == {6.0}


def test_width_and_depth_scale_the_edge_preset():
    full, narrow, shallow = (
        edge_backbone((32, 32, 3), width_factor=w, depth_factor=d) for w, d in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5))
    )
    assert narrow.count_params() < full.count_params() / 2
    assert len(shallow.layers) < len(full.layers)
    # EfficientNet-Lite0 has 4.65 M weights, 1.69 M of them in its 1x1 head convolution and its classifier.
    assert sum(np.prod(v.shape) for v in full.trainable_variables) == pytest.approx(2.96e6, rel=0.01)


@pytest.mark.parametrize(
    ("stages", "trained"), [(0, {"stem", "block1", "block2", "block3"}), (2, {"block3"}), (-1, set())]
)
def test_stages_can_be_frozen(stages, trained):
    backbone = _encoder(frozen_stages=stages, level=3).get_layer("camera_branch").get_layer("edge")
    assert {v.path.split("/")[-2].split("_")[0].rstrip("abcd") for v in backbone.trainable_variables} == trained


def test_batch_norm_momentum_is_kept_when_saved(tmp_path):
    encoder = _encoder(batch_norm_momentum=0.8)
    encoder.save(tmp_path / "encoder.keras")
    backbone = keras.models.load_model(tmp_path / "encoder.keras").get_layer("camera_branch").get_layer("edge")
    found = {layer.momentum for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert found == {0.8}


def test_local_weights_are_loaded(tmp_path):
    source = edge_backbone((32, 32, 3), width_factor=0.25, depth_factor=0.3)
    source.save_weights(tmp_path / "edge.weights.h5")
    encoder = _encoder(weights=str(tmp_path / "edge.weights.h5"))
    stem = encoder.get_layer("camera_branch").get_layer("edge").get_layer("stem_conv")
    np.testing.assert_array_equal(stem.kernel, source.get_layer("stem_conv").kernel)


MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@pytest.mark.parametrize("architecture", ["EfficientNetB0", "EfficientNetV2B0"])
def test_pictures_are_scaled_as_for_imagenet_weights(architecture: str, tmp_path: Path):
    """The reference is written out: (pixels / 255 - mean) / deviation, then the layers behind the normalization."""
    source = getattr(keras.applications, architecture)(include_top=False, weights=None, input_shape=(32, 32, 3))
    normalization = next(layer for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    if normalization.input_mean is None:
        normalization.adapt_mean.assign(MEAN)
        normalization.adapt_variance.assign(DEVIATION)  # as in Keras' ImageNet weights
    source.save_weights(tmp_path / "source.weights.h5")
    options = {"architecture": architecture, "level": 3, "width_factor": 1.0, "depth_factor": 1.0}
    encoder = _encoder(weights=str(tmp_path / "source.weights.h5"), **options)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype("float32")
    loaded = encoder.get_layer("camera_branch").get_layer(source.name)
    end = next(layer.name for layer in reversed(loaded.layers))
    reference = keras.Model(normalization.output, source.get_layer(end).output)
    expected = np.asarray(reference((pixels / 255 - MEAN) / DEVIATION))
    np.testing.assert_allclose(np.asarray(loaded(pixels)), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("second", [True, False])
def test_the_file_says_whether_its_weights_knew_a_second_rescaling(second: bool, tmp_path: Path):
    def small(twice: bool) -> keras.Model:
        pixels = keras.Input((2, 2, 3))
        x = keras.layers.Normalization()(keras.layers.Rescaling(1 / 255)(pixels))
        x = keras.layers.Rescaling((1 / np.sqrt(DEVIATION)).tolist())(x) if twice else x
        return keras.Model(pixels, keras.layers.Dense(1)(x))

    source, target = small(second), small(False)
    source.save_weights(tmp_path / "source.weights.h5")
    load_weights(target, tmp_path / "source.weights.h5")
    scale_as_trained(target, tmp_path / "source.weights.h5")
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3)).astype("float32")
    np.testing.assert_allclose(target(pixels), source(pixels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "nowhere.h5"}, "nowhere.h5.*does not exist"),
        ({"architecture": "EfficientNetB0"}, "change only the edge"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        _encoder(**options)


def test_weights_of_another_architecture_are_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ConfigError, match=r"other\.weights\.h5 does not fit edge"):
        _encoder(weights=str(tmp_path / "other.weights.h5"))


@pytest.mark.parametrize("stages", [0, 3, 7])
def test_fused_stages_have_no_depthwise_convolutions(stages: int):
    backbone = edge_backbone((32, 32, 3), width_factor=0.25, depth_factor=0.3, fused_stages=stages)
    depthwise = [layer for layer in backbone.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert {layer.name[:6] for layer in depthwise} == {f"block{n}" for n in range(stages + 1, 8)}
    assert backbone.output.shape[1:3] == (1, 1)
