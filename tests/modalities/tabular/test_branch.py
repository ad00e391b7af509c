"""The encoder of a row."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities.tabular.branch import build
from mmkeras.modalities.tabular.spec import Config
from tests.modalities.tabular.patients import CONFIG, ROWS, spec


def _model(config: Config = CONFIG, width: int = 8) -> keras.Model:
    branch = build(spec(), dataclasses.replace(config, dropout=0.0), width)
    return keras.Model(branch.inputs, branch.tokens.values)


def _row(row: dict[str, object]) -> dict[str, np.ndarray]:
    return {name: value[None] for name, value in spec().preprocess(row).items()}


def test_without_layers_a_token_depends_on_its_own_column_alone() -> None:
    model = _model(dataclasses.replace(CONFIG, layers=0))
    changes = {"age": 22, "weight kg": 70, "seen": "2020-02-02", "sex": "M", "ward": 12}
    before = model.predict(_row(ROWS[0]), verbose=0)[0]
    assert before.shape == (5, 8)
    for at, (name, cell) in enumerate(changes.items()):
        for other in (cell, None):
            after = model.predict(_row({**ROWS[0], name: other}), verbose=0)[0]
            assert np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-6).tolist() == [at]


def test_layers_mix_the_columns() -> None:
    model = _model()
    before, after = (model.predict(_row({**ROWS[0], "sex": sex}), verbose=0)[0] for sex in "FM")
    assert (np.abs(after - before).max(axis=1) > 1e-6).all()


def test_one_column_has_no_attention() -> None:
    config = Config(numbers=("age",))
    branch = build(config.spec("patient"), config, 8)
    model = keras.Model(branch.inputs, branch.tokens.values)
    inputs = {name: value[None] for name, value in config.spec("patient").preprocess({"age": 3}).items()}
    assert model.predict(inputs, verbose=0).shape == (1, 1, 8)
    assert not [layer for layer in model.get_layer("patient_branch").layers if "attention" in layer.name]


def test_a_mean_number_is_not_a_missing_one() -> None:
    model = _model(dataclasses.replace(CONFIG, layers=0))
    mean = spec().means[0]
    there, missing = (model.predict(_row({**ROWS[0], "age": age}), verbose=0)[0, 0] for age in (mean, None))
    assert np.abs(there - missing).max() > 1e-3


def test_heads_divide_the_width_and_a_frozen_branch_does_not_learn() -> None:
    with pytest.raises(ConfigError, match="heads"):
        _model(width=6)
    assert not _model(dataclasses.replace(CONFIG, frozen=True)).trainable_variables
