"""The encoder of a series."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities.series.branch import build
from mmkeras.modalities.series.spec import Config
from tests.modalities.series.waves import CONFIG, VALUES, spec


def _model(config: Config = CONFIG, width: int = 8) -> keras.Model:
    branch = build(spec(config), config, width)
    return keras.Model(branch.inputs, [branch.tokens.values, branch.tokens.mask])


def _run(model: keras.Model, value: object, config: Config = CONFIG) -> tuple[np.ndarray, np.ndarray]:
    inputs = {name: each[None] for name, each in spec(config).preprocess(value).items()}
    tokens, mask = model.predict(inputs, verbose=0)
    return tokens[0], mask[0]


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({}, 4),
        ({"patch": 5}, 4),
        ({"patch": 20}, 2),
        ({"patch": 4, "stride": 2}, 6),
        ({"form": "convolutions", "patch": 3, "layers": 2}, 4),
        ({"form": "convolutions", "patch": 3, "layers": 0}, 13),
    ],
    ids=str,
)
def test_tokens_are_a_summary_and_patches_or_steps(options: dict[str, object], tokens: int) -> None:
    config = dataclasses.replace(CONFIG, **options)  # type: ignore[arg-type]
    values, mask = _run(_model(config), VALUES[0], config)
    assert values.shape == (tokens, 8)
    assert mask.tolist() == [1] * tokens


def test_a_patch_without_numbers_is_masked_and_the_summary_never() -> None:
    model = _model()
    assert _run(model, [1.0, 2.0])[1].tolist() == [1, 0, 0, 1]
    assert _run(model, [1.0] + [None] * 8)[1].tolist() == [1, 1, 0, 0]
    config = dataclasses.replace(CONFIG, form="convolutions", patch=3)
    assert _run(_model(config), [1.0] * 2, config)[1].tolist() == [1, 0, 0, 0, 0, 0, 1]


def test_the_last_patch_ends_with_the_last_step() -> None:
    config = dataclasses.replace(CONFIG, patch=5, layers=0, normalise="training")
    model = _model(config)
    before, after = (_run(model, [*range(11), last], config)[0] for last in (3.0, 9.0))
    assert np.flatnonzero(np.abs(before - after).max(axis=1) > 1e-6).tolist() == [3]


def test_a_masked_patch_changes_no_other_token() -> None:
    model = _model()
    inputs = {name: each[None] for name, each in spec().preprocess([1.0, 5.0, 2.0, 4.0]).items()}
    values, mask = model.predict(inputs, verbose=0)
    real = mask[0] == 1
    model.get_layer("wave_branch").get_layer("wave_positions").embedding.assign_add(
        np.where(real[1:, None], 0.0, 7.0)[None] * np.ones((1, 1, 8))
    )
    np.testing.assert_allclose(model.predict(inputs, verbose=0)[0][0][real], values[0][real], atol=1e-5)


def test_the_level_reaches_the_summary() -> None:
    config = dataclasses.replace(CONFIG, layers=0)
    model = _model(config)
    low, high = (_run(model, [offset + number for number in range(12)], config)[0] for offset in (0.0, 50.0))
    assert np.flatnonzero(np.abs(low - high).max(axis=1) > 1e-4).tolist() == [0]


def test_heads_divide_the_width_and_a_frozen_branch_does_not_learn() -> None:
    with pytest.raises(ConfigError, match="heads"):
        _model(dataclasses.replace(CONFIG, heads=4), width=6)
    frozen = _model(dataclasses.replace(CONFIG, frozen=True, dropout=0.5))
    assert not frozen.trainable_variables


def test_it_can_be_saved_and_loaded(tmp_path) -> None:
    model = _model()
    model.save(tmp_path / "wave.keras")
    again = keras.models.load_model(tmp_path / "wave.keras")
    np.testing.assert_array_equal(_run(again, VALUES[1])[0], _run(model, VALUES[1])[0])
