from __future__ import annotations

import keras
import numpy as np
import pytest

from mmkeras.core.config import TrainConfig
from mmkeras.layers.positions import GridPosition
from mmkeras.training.optimizer import BranchAdamW, build_optimizer, variable_factors

pytestmark = pytest.mark.tfio


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    branch = keras.Model(inputs, keras.layers.Dense(4, name="dense")(inputs), name="image_branch")
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(branch(inputs)))


def _moved(factors: dict[str, float]) -> dict[str, float]:
    model = _model()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer = BranchAdamW(0.1, weight_decay=0.0, factors=variable_factors(model, factors))
    model.compile(optimizer, "mse", jit_compile=False)
    model.train_on_batch(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"))
    return {v.path: float(np.abs(v.numpy() - before[v.path]).max()) for v in model.trainable_variables}


def test_a_branch_moves_at_its_own_rate():
    even, slow, still = _moved({}), _moved({"image_branch": 0.1}), _moved({"image_branch": 0.0})
    for path, step in even.items():
        in_branch = "head" not in path
        assert slow[path] == pytest.approx(step * 0.1 if in_branch else step, rel=1e-3)
        assert still[path] == pytest.approx(0.0 if in_branch else step, rel=1e-3)


def test_the_gradient_norm_is_the_one_before_clipping():
    model = _model()
    optimizer = BranchAdamW(0.0, global_clipnorm=1e-3)
    model.compile(optimizer, "mse", jit_compile=False)
    x, y = np.full((8, 3), 5.0, "float32"), np.full((8, 1), 9.0, "float32")
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - y))
    expected = tf.linalg.global_norm(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    model.train_on_batch(x, y)
    assert float(optimizer.gradient_norm) == pytest.approx(float(expected), rel=1e-5)
    assert float(expected) > 1


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    config = TrainConfig(learning_rate=1.0, warmup_share=0.1, final_share=0.01)
    schedule = build_optimizer(config, 100)._learning_rate
    rates = [float(schedule(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.505, 0.01], abs=1e-3)


def test_without_warm_up_it_starts_at_the_peak():
    schedule = build_optimizer(TrainConfig(learning_rate=0.5, warmup_share=0.0), 10)._learning_rate
    assert float(schedule(0)) == pytest.approx(0.5)


def _still(model: keras.Model, optimizer: BranchAdamW) -> dict[str, float]:
    """Return what a step without gradients makes of weights that are 1: their decay alone."""
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(variable.shape, "float32") for variable in model.trainable_variables])
    return {v.path: 1 - float(v.numpy().flat[0]) for v in model.trainable_variables}


def test_biases_norms_and_embeddings_do_not_decay():
    words = keras.Input((3,), dtype="int32")
    x = keras.layers.Embedding(5, 4, name="words")(words)
    x = keras.layers.LayerNormalization(name="layer")(GridPosition(name="place")(x))
    x = keras.layers.BatchNormalization(name="batch")(x)
    model = keras.Model(words, keras.layers.Dense(1, name="dense")(x))
    config = TrainConfig(weight_decay=0.1, learning_rate=0.5, warmup_share=0.0)
    decay = _still(model, build_optimizer(config, 10))
    assert {"words/embeddings", "layer/gamma", "layer/beta", "batch/gamma", "batch/beta", "dense/bias"} < decay.keys()
    assert {path: each for path, each in decay.items() if each} == {"dense/kernel": pytest.approx(0.05)}


@pytest.mark.parametrize("factor", [0.0, 0.1])
def test_a_branch_decays_at_its_own_rate(factor: float):
    model = _model()
    optimizer = BranchAdamW(0.5, weight_decay=0.1, factors=variable_factors(model, {"image_branch": factor}))
    decay = _still(model, optimizer)
    assert decay["dense/kernel"] == pytest.approx(0.05 * factor)
    assert decay["head/kernel"] == pytest.approx(0.05)


def test_a_projection_behind_an_encoder_learns_at_the_full_rate():
    inputs = keras.Input((3,))
    encoder = keras.Model(inputs, keras.layers.Dense(4, name="stem")(inputs), name="encoder")
    branch = keras.Model(inputs, keras.layers.Dense(4, name="projection")(encoder(inputs)), name="image_branch")
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(branch(inputs)))
    factors = variable_factors(model, {"image_branch": 0.1})
    by_path = dict(zip((v.path for v in model.trainable_variables), factors, strict=True))
    assert {path.split("/")[0]: factor for path, factor in by_path.items()} == {
        "stem": 0.1,
        "projection": 1.0,
        "head": 1.0,
    }


def test_the_average_moves_once_for_each_update():
    """Two steps make an update: the average stays between updates, and starts from the weights."""
    (variable,) = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]).trainable_variables
    variable.assign([[1.0]])
    config = TrainConfig(ema=0.9, accumulate=2, warmup_share=0.0, final_share=1.0, weight_decay=0.0)
    optimizer = build_optimizer(config, 8)
    optimizer.build([variable])
    expected, seen = 1.0, []
    for step in range(6):
        optimizer.apply([np.ones((1, 1), "float32")])
        weight = float(variable.numpy().item())
        if step == 1:
            expected = weight
        elif step % 2:
            expected = 0.9 * expected + 0.1 * weight
        seen.append(float(optimizer._model_variables_moving_average[0].numpy().item()))
        assert seen[-1] == pytest.approx(expected, rel=1e-6)
    assert seen[0] == 1.0
    assert seen[1] == seen[2] != seen[3]


def test_it_survives_serialisation():
    optimizer = build_optimizer(TrainConfig(ema=0.9, clip_norm=2.0), 10, [0.1, 1.0])
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, BranchAdamW)
    assert (copy.factors, copy.global_clipnorm, copy.use_ema, copy.ema_momentum) == (
        [0.1, 1.0],
        2.0,
        True,
        0.9,
    )


def test_accumulated_batches_make_the_step_of_one_large_batch():
    x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    weights = []
    for accumulate, size in ((1, 8), (2, 4)):
        model = _model()
        # A constant rate: with accumulation the schedule counts batches.
        config = TrainConfig(
            warmup_share=0.0, final_share=1.0, learning_rate=0.01, clip_norm=0.5, accumulate=accumulate
        )
        model.compile(build_optimizer(config, 3 * accumulate), "mse", jit_compile=False)
        model.fit(x, y, batch_size=size, epochs=1, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for once, twice in zip(*weights, strict=True):
        np.testing.assert_allclose(once, twice, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("words", [4, 400])
def test_a_word_that_occurs_twice_counts_with_the_sum_of_its_gradients(words):
    """Of a small table and of a large one, whose gradient comes as rows: 1 + 2 for word 0, 4 for word 1."""
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(words, 1)])
    optimizer = BranchAdamW(0.1, weight_decay=0.0)
    model.compile(optimizer, loss=lambda factors, y: keras.ops.sum(factors * y), jit_compile=False)
    model.train_on_batch(np.array([[0, 0, 1]]), np.array([[[1.0], [2.0], [4.0]]], "float32"))
    assert float(optimizer.gradient_norm.value) == pytest.approx(5.0)
    second = next(each for each in optimizer.variables if "velocity" in each.path).numpy().ravel()
    np.testing.assert_allclose(second[:3], [0.001 * 9, 0.001 * 16, 0], rtol=1e-5)
