"""The encoder of clips."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities.video.branch import build
from mmkeras.modalities.video.spec import Config

CONFIG = {"frames": 4, "size": (32, 32), "width_factor": 0.25, "depth_factor": 0.3, "level": 3, "heads": 2}


def _model(width: int = 16, **options: object) -> keras.Model:
    config = Config(**{**CONFIG, **options})  # type: ignore[arg-type]
    branch = build(config.spec("clip"), config, width)
    return keras.Model(branch.inputs, [branch.tokens.values, branch.tokens.mask])


def _clip(seed: int = 0, fresh: tuple[int, ...] = (1, 1, 1, 1)) -> dict[str, np.ndarray]:
    frames = np.random.default_rng(seed).integers(0, 256, (1, 4, 32, 32, 3)).astype(np.uint8)
    return {"clip": frames, "clip_fresh": np.array([fresh], np.int32)}


def test_a_token_for_the_clip_and_one_for_each_new_frame():
    values, mask = _model().predict(_clip(fresh=(1, 0, 1, 1)), verbose=0)
    assert values.shape == (1, 5, 16)
    np.testing.assert_array_equal(mask, [[1, 1, 0, 1, 1]])
    assert np.isfinite(values).all()


def test_a_repeated_frame_does_not_count_twice():
    """The first token of a clip of three frames is the same whichever of them is repeated."""
    model = _model(layers=0)
    first, second = _clip(fresh=(1, 0, 1, 1)), _clip(fresh=(1, 1, 0, 1))
    three = first["clip"][0, :3]
    first["clip"][0], second["clip"][0] = three[[0, 0, 1, 2]], three[[0, 1, 1, 2]]
    one, two = (model.predict(each, verbose=0)[0][0, 0] for each in (first, second))
    np.testing.assert_allclose(one, two, atol=1e-5)
    counted = {**first, "clip_fresh": np.ones((1, 4), np.int32)}
    assert np.abs(model.predict(counted, verbose=0)[0][0, 0] - one).max() > 1e-3


def test_the_order_of_frames_matters():
    model = _model()
    clip = _clip()
    backwards = {**clip, "clip": clip["clip"][:, ::-1]}
    forwards_value, backwards_value = (model.predict(each, verbose=0)[0][0, 1:] for each in (clip, backwards))
    assert np.abs(forwards_value - backwards_value[::-1]).max() > 1e-3


def test_a_clip_without_motion_has_no_changes():
    """Two still clips of one picture differ in nothing but it: a planted motion is seen in the first token."""
    model = _model(layers=0)
    still = _clip()
    still["clip"][:] = still["clip"][:, :1]
    moving = {**still, "clip": still["clip"].copy()}
    moving["clip"][0, 2] = np.roll(moving["clip"][0, 2], 8, axis=1)
    one, two = (model.predict(each, verbose=0)[0][0] for each in (still, moving))
    assert np.abs(one[0] - two[0]).max() > 1e-4
    np.testing.assert_allclose(one[1:3], two[1:3], atol=1e-5)
    assert np.abs(one[3:] - two[3:]).max(axis=1).min() > 1e-4


def test_cells_keep_places():
    assert _model(cells=(2, 2)).get_layer("clip_branch").get_layer("clip_frames").output[0].shape[-1] == 4 * 2 * 16
    with pytest.raises(ConfigError, match="cells: expected divisors of the 4x4 features"):
        _model(cells=(3, 1))


def test_a_frozen_backbone_is_one_frozen_model():
    model = _model(frozen_stages=-1)
    assert not model.get_layer("clip_branch").get_layer("clip_frames").trainable_variables
    assert model.trainable_variables


def test_heads_divide_the_width():
    with pytest.raises(ConfigError, match="heads: expected a divisor of the width 15"):
        _model(width=15)


def test_it_is_saved_and_loaded(tmp_path):
    model = _model()
    model.save(tmp_path / "clip.keras")
    again = keras.models.load_model(tmp_path / "clip.keras")
    np.testing.assert_allclose(model.predict(_clip(), verbose=0)[0], again.predict(_clip(), verbose=0)[0], atol=1e-6)


def test_one_frame_sees_no_motion():
    model = _model(still=True)
    clip = _clip()
    values, mask = model.predict(clip, verbose=0)
    assert values.shape == (1, 2, 16)
    np.testing.assert_array_equal(mask, [[1, 1]])
    other = {**clip, "clip": clip["clip"].copy(), "clip_fresh": np.array([[1, 0, 0, 0]], np.int32)}
    other["clip"][0, [0, 1, 3]] = 0
    np.testing.assert_array_equal(model.predict(other, verbose=0)[0], values)
    other["clip"][0, 2] = 0
    assert np.abs(model.predict(other, verbose=0)[0] - values).max() > 1e-4
