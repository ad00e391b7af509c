"""The layer of the detection head."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mmkeras.tasks.detection.layers import DistanceChoice

SHAPE = (2, 40, 50, 3)


def _numbers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=SHAPE).astype("float32"), rng.uniform(2, 4, SHAPE).astype("float32")


def test_outside_training_it_is_the_weighted_mean():
    scores, guesses = _numbers()
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found = np.asarray(DistanceChoice()([scores, guesses]))
    np.testing.assert_allclose(found, (weights * guesses).sum(-1, keepdims=True), rtol=1e-5)


def test_in_training_each_guess_is_sometimes_alone_and_never_all_are_hidden():
    keras.utils.set_random_seed(0)
    scores = np.zeros(SHAPE, "float32")
    guesses = np.broadcast_to(np.array([1.0, 10.0, 100.0], "float32"), SHAPE)
    found = np.asarray(DistanceChoice(0.5)([scores, guesses], training=True))
    shares = {value: float(np.isclose(found, value).mean()) for value in (1.0, 10.0, 100.0, 37.0)}
    # One alone: 0.5 ** 3; all of them: as often, and again where all would have been hidden.
    for value, expected in ((1.0, 0.125), (10.0, 0.125), (100.0, 0.125), (37.0, 0.25)):
        assert abs(shares[value] - expected) < 0.03, value


def test_a_hidden_guess_counts_for_nothing_however_good_its_score():
    keras.utils.set_random_seed(0)
    scores = np.broadcast_to(np.array([200.0, 0.0, -200.0], "float32"), SHAPE)
    guesses = np.broadcast_to(np.array([1.0, 10.0, 100.0], "float32"), SHAPE)
    found = np.asarray(DistanceChoice(0.5)([scores, guesses], training=True))
    assert np.isfinite(found).all()
    assert {round(float(value), 3) for value in np.unique(found)} == {1.0, 10.0, 100.0}


def test_the_guess_that_is_not_chosen_learns_too():
    scores = tf.constant(np.broadcast_to(np.array([9.0, -9.0, -9.0], "float32"), SHAPE))
    guesses = tf.Variable(np.full(SHAPE, 3.0, "float32"))
    layer = DistanceChoice(0.3)

    def learns(training: bool) -> np.ndarray:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer([scores, guesses], training=training))
        return np.asarray(tape.gradient(total, guesses)).mean((0, 1, 2))

    assert learns(False)[1:].max() < 1e-6
    assert learns(True)[1:].min() > 0.05


def test_it_is_saved(tmp_path: Path):
    scores, guesses = _numbers()
    inputs = [keras.Input(SHAPE[1:]), keras.Input(SHAPE[1:])]
    model = keras.Model(inputs, DistanceChoice(0.2, name="choice")(inputs))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.get_layer("choice").drop == 0.2
    np.testing.assert_array_equal(
        again.predict([scores, guesses], verbose=0), model.predict([scores, guesses], verbose=0)
    )
