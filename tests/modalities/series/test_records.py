"""Series in records: the graph gives what the host gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.modalities.series.records import augment, decode, encode, remark
from mmkeras.modalities.series.spec import Config
from tests.modalities.series.waves import CONFIG, PAIR, VALUES, spec

TIMED = dataclasses.replace(CONFIG, interval=2.0, normalise="training")


@pytest.mark.parametrize("config", [CONFIG, PAIR, TIMED], ids=["one", "two", "training"])
def test_the_graph_gives_what_the_host_gives(config: Config) -> None:
    known = spec(config, VALUES if config.features == 1 else [])
    values = [*(VALUES if config.features == 1 else ()), *known.probes()]
    records = [encode(config, value) for value in values]
    batch = tf.function(lambda raw: decode(known, raw))(tf.constant(records))
    assert list(batch) == [tensor.name for tensor in known.tensors]
    for at, (value, record) in enumerate(zip(values, records, strict=True)):
        one = decode(known, tf.constant(record))
        for name, expected in known.preprocess(value).items():
            assert batch[name].dtype.name == expected.dtype.name
            np.testing.assert_allclose(batch[name][at], expected, rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(one[name], batch[name][at])
            np.testing.assert_array_equal(known.preprocess(record)[name], expected)


def test_an_empty_batch_has_the_tensors_shapes() -> None:
    found = decode(spec(), tf.constant([], tf.string))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        tensor.name: (0, *tensor.shape) for tensor in spec().tensors
    }


def test_steps_that_are_not_used_are_remarked() -> None:
    assert remark(CONFIG, VALUES[2]) == "it has more than 12 steps; the oldest are not used"
    assert remark(TIMED, {"values": [1, 2], "times": [0, 0.1]}) == "several steps in one interval; the newest is used"
    assert remark(CONFIG, VALUES[0]) == ""


def test_augmentation_empties_a_share_of_the_steps_and_adds_noise_to_the_others() -> None:
    config, known = dataclasses.replace(CONFIG, mask_rate=0.4, noise=0.5), spec()
    batch = decode(known, tf.repeat(tf.constant([encode(known, VALUES[0])]), 2000))
    seed = tf.constant([3, 4])
    found = augment(config, known, {**batch, "other": tf.zeros(1)}, seed)
    mask, values = found["wave_mask"].numpy(), found["wave_values"].numpy()
    np.testing.assert_allclose(mask.mean(axis=0), 0.6, atol=0.05)
    assert not values[mask == 0].any()
    added = (values - batch["wave_values"].numpy())[mask == 1]
    assert (abs(added.mean()), added.std()) == (pytest.approx(0, abs=0.02), pytest.approx(0.5, abs=0.02))
    np.testing.assert_array_equal(augment(config, known, batch, seed)["wave_values"], values)
    assert augment(CONFIG, known, batch, seed) is batch
    assert (config.augmentations(), CONFIG.augmentations()) == (("mask_rate", "noise"), ())
