"""The parts of the matching loss, held to plain numpy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from mmkeras.layers.batch import LossContext
from mmkeras.layers.tokens import Encoded, Tokens
from mmkeras.tasks.matching import pairs
from mmkeras.tasks.matching.discrepancy import discrepancy
from mmkeras.tasks.matching.head import Temperature, build, submodels
from mmkeras.tasks.matching.losses import MatchingLoss, line_of
from mmkeras.tasks.matching.pairs import hardest
from mmkeras.tasks.matching.recall import unit
from mmkeras.tasks.matching.spec import Config

RNG = np.random.default_rng(0)
SIZE = 5


def _batch(groups: list[str], present: Any = None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return outputs, targets and inputs of a batch; the similarity has the factor 4 and the bias -1."""
    count, rng = len(groups), np.random.default_rng(1)
    image, text = (unit(rng.normal(size=(count, SIZE))) for _ in range(2))
    cosine = (image * text).sum(1, keepdims=True)
    outputs = {"image_embedding": image, "text_embedding": text, "similarity": 4 * cosine - 1}
    spec = Config().spec()
    targets = np.stack(
        [np.asarray(spec.encode({"pair": group, "image": group, "text": str(n)})) for n, group in enumerate(groups)]
    )
    there = np.ones((2, count)) if present is None else np.asarray(present)
    inputs = {"image_present": there[0], "text_present": there[1]}
    as_tensors = lambda given: {name: ops.cast(value, "float32") for name, value in given.items()}  # noqa: E731
    return as_tensors(outputs), dict.fromkeys(outputs, ops.convert_to_tensor(targets)), as_tensors(inputs)


def _parts(config: Config, batch: Any, weights: Any = None, training: bool = False) -> dict[str, np.ndarray]:
    given = np.ones(len(batch[0]["similarity"])) if weights is None else weights
    hook = MatchingLoss(config.spec(), config)
    outputs, targets, inputs = batch
    found = hook(outputs, targets, inputs, LossContext(ops.cast(given, "float32"), training=training))
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}


def _infonce(batch: Any, counted: np.ndarray) -> np.ndarray:
    """Return the loss of each sample among the partners that count, bool (N, N)."""
    image, text = (ops.convert_to_numpy(batch[0][f"{name}_embedding"]) for name in ("image", "text"))
    costs = np.zeros(len(image))
    for way in (image @ text.T, text @ image.T):
        for row in range(len(image)):
            logits = 4 * way[row, counted[row]]
            costs[row] += 0.5 * (np.log(np.exp(logits).sum()) - 4 * way[row, row])
    return costs


def test_infonce_is_what_numpy_computes():
    batch = _batch(["a", "b", "c", "d"])
    expected = _infonce(batch, np.ones((4, 4), bool))
    np.testing.assert_allclose(_parts(Config(size=SIZE), batch)["contrastive"], expected, rtol=1e-4)


def test_captions_of_one_picture_are_no_negatives():
    batch = _batch(["a", "b", "a", "d"])
    counted = np.ones((4, 4), bool)
    counted[0, 2] = counted[2, 0] = False
    np.testing.assert_allclose(_parts(Config(size=SIZE), batch)["contrastive"], _infonce(batch, counted), rtol=1e-4)
    assert _parts(Config(size=SIZE), batch)["contrastive"][0] < _infonce(batch, np.ones((4, 4), bool))[0]


def test_padding_and_samples_without_a_partner_are_no_negatives():
    batch = _batch(["a", "b", "c", "d"], [[1, 1, 1, 0], [1, 1, 1, 1]])
    counted = np.zeros((4, 4), bool)
    counted[:2, :2] = True
    expected = _infonce(batch, counted | np.eye(4, dtype=bool))
    found = _parts(Config(size=SIZE), batch, np.array([1, 2, 0, 1]))["contrastive"]
    # The mean over the batch of four is the mean over the two pairs.
    np.testing.assert_allclose(found[:2], 2 * expected[:2], rtol=1e-4)
    np.testing.assert_array_equal(found[2:], 0)


def test_label_smoothing_spreads_a_share():
    batch = _batch(["a", "b", "c"])
    plain, smooth = (_parts(Config(size=SIZE, label_smoothing=s), batch)["contrastive"] for s in (0.0, 0.3))
    image, text = (ops.convert_to_numpy(batch[0][f"{name}_embedding"]) for name in ("image", "text"))
    spread = np.zeros(3)
    for way in (image @ text.T, text @ image.T):
        spread += 0.5 * (np.log(np.exp(4 * way).sum(1)) - 4 * way.mean(1))
    np.testing.assert_allclose(smooth, 0.7 * plain + 0.3 * spread, rtol=1e-4)


def test_the_sigmoid_loss_judges_each_pair():
    batch = _batch(["a", "b", "a"])
    image, text = (ops.convert_to_numpy(batch[0][f"{name}_embedding"]) for name in ("image", "text"))
    expected = np.zeros(3)
    for way in (image @ text.T, text @ image.T):
        for row in range(3):
            for column in range(3):
                if {row, column} == {0, 2}:
                    continue
                sign = 1 if row == column else -1
                expected[row] += 0.5 * np.log1p(np.exp(-sign * (4 * way[row, column] - 1)))
    np.testing.assert_allclose(_parts(Config(size=SIZE, loss="sigmoid"), batch)["contrastive"], expected, rtol=1e-4)


@pytest.mark.parametrize("biased", [False, True])
def test_temperature_and_bias_are_learned_through_the_output(biased: bool):
    import tensorflow as tf

    layer = Temperature(0.07, biased)
    first, second = (ops.convert_to_tensor(unit(RNG.normal(size=(6, SIZE)))) for _ in range(2))
    cosine = ops.sum(first * second, axis=-1)
    with tf.GradientTape() as tape:
        factor, bias = line_of(layer(first, second)[:, 0], cosine)
        loss = factor + 10 * bias
    assert (float(factor), float(bias)) == pytest.approx((1 / 0.07, -10.0 if biased else 0.0), abs=1e-3)
    gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
    assert [float(each) for each in gradients] == pytest.approx([1 / 0.07, 10.0][: len(gradients)], rel=1e-3)


# === Discrepancy ===


def _mmd(first: np.ndarray, second: np.ndarray, kernel: Any) -> float:
    """Equation 3 of Gretton et al. 2012, with loops."""
    n, m = len(first), len(second)
    within = sum(kernel(first[i], first[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within += sum(kernel(second[i], second[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return float(within - 2 * np.mean([kernel(x, y) for x in first for y in second]))


KERNELS = {
    "gaussian": lambda x, y: np.mean([np.exp(-((x - y) ** 2).sum() / (2 * w**2)) for w in (0.25, 0.5, 1, 2)]),
    "laplacian": lambda x, y: np.mean([np.exp(-np.linalg.norm(x - y) / w) for w in (0.25, 0.5, 1, 2)]),
    "energy": lambda x, y: -np.linalg.norm(x - y),
    "polynomial": lambda x, y: (0.5 * (x @ y + 1)) ** 3,
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_discrepancy_is_that_of_the_paper(kernel: str):
    first, second = unit(RNG.normal(size=(6, SIZE))), unit(RNG.normal(size=(7, SIZE)) + 1.0)
    counts = [np.array([1, 1, 1, 1, 1, 0.0]), np.array([1, 1, 1, 1, 1, 1, 0.0])]
    one, two, ones, twos = (ops.cast(each, "float32") for each in (first, second, *counts))
    expected = _mmd(first[:5], second[:6], KERNELS[kernel])
    assert float(discrepancy(one, two, ones, twos, kernel)) == pytest.approx(expected, abs=1e-4)
    assert expected > 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_discrepancy_brings_distributions_together(kernel: str):
    import tensorflow as tf

    second = ops.cast(unit(RNG.normal(size=(32, SIZE)) + 1.0), "float32")
    free, ones = tf.Variable(RNG.normal(size=(32, SIZE)).astype("float32")), ops.ones((32,))
    optimizer, seen = keras.optimizers.Adam(0.05), []
    for _ in range(60):
        with tf.GradientTape() as tape:
            first = ops.normalize(tf.convert_to_tensor(free), axis=-1)
            loss = discrepancy(first, second, ones, ones, kernel)
        optimizer.apply([tape.gradient(loss, free)], [free])
        seen.append(float(loss))
    assert seen[-1] < 0.2 * seen[0]


def test_inputs_without_a_partner_count_in_the_discrepancy_alone():
    config = Config(size=SIZE, mmd=2.0)
    batch = _batch(["a", "b", "c", "d"], [[1, 1, 1, 0], [1, 1, 0, 1]])
    image, text = (ops.convert_to_numpy(batch[0][f"{name}_embedding"]) for name in ("image", "text"))
    found = _parts(config, batch)
    assert found["discrepancy"] == pytest.approx(2 * _mmd(image[:3], text[[0, 1, 3]], KERNELS["gaussian"]), abs=1e-4)
    np.testing.assert_array_equal(found["contrastive"][2:], 0)


# === Pairs ===


def test_the_hardest_partners_are_the_closest_wrong_ones():
    first, second = unit(RNG.normal(size=(5, SIZE))), unit(RNG.normal(size=(5, SIZE)))
    rows = ops.convert_to_numpy(hardest(ops.convert_to_tensor(first), ops.convert_to_tensor(second), 2))
    for row in range(5):
        for side, scores in enumerate((first @ second[row], second @ first[row])):
            expected = [int(other) for other in np.argsort(-scores) if other != row][:2]
            assert rows[row, 2 * side : 2 * side + 2].tolist() == expected
    alone = ops.convert_to_numpy(hardest(ops.convert_to_tensor(first[:1]), ops.convert_to_tensor(second[:1]), 2))
    assert alone.tolist() == [[0, 0, 0, 0]]


def test_a_wrong_partner_that_belongs_to_the_sample_costs_nothing():
    config = Config(size=SIZE, pairs=1, hard_negatives=3)
    batch = _batch(["a", "b", "a", "d"])
    sure = np.full((4, 7), 1e-3, np.float32)
    sure[:, 0] = 1 - 1e-3
    rows = ops.convert_to_numpy(hardest(batch[0]["image_embedding"], batch[0]["text_embedding"], 3))
    sure[0, 1:][rows[0] == 2] = 1 - 1e-3  # the other caption of the same picture is judged a match
    batch[0]["match"] = ops.convert_to_tensor(sure)
    assert _parts(config, batch, training=True)["pairs"][0] == pytest.approx(1e-3, rel=0.1)
    sure[1, 1:][rows[1] == 2] = 1 - 1e-3  # a wrong match of another
    batch[0]["match"] = ops.convert_to_tensor(sure)
    assert _parts(config, batch, training=True)["pairs"][1] > 0.5
    assert set(_parts(config, batch)) == {"contrastive", "pairs"}


def _model(config: Config) -> keras.Model:
    given = {"image": keras.Input((3, 8), name="image"), "text": keras.Input((4, 8), name="text")}
    given["mask"] = keras.Input((4,), dtype="int32", name="mask")
    tokens = {
        "image": Tokens(given["image"], ops.ones_like(given["image"][:, :, 0], dtype="int32")),
        "text": Tokens(given["text"], given["mask"]),
    }
    return keras.Model(given, build(Encoded(tokens), config.spec(), config))


def test_padding_reaches_no_output_and_wrong_partners_are_judged_in_training_alone():
    config = Config(size=SIZE, pairs=2, hard_negatives=2)
    model = _model(config)
    rng = np.random.default_rng(0)
    inputs = {
        "image": rng.normal(size=(3, 3, 8)).astype("float32"),
        "text": rng.normal(size=(3, 4, 8)).astype("float32"),
        "mask": np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]),
    }
    before = model(inputs, training=False)
    inputs["text"][0, 2:] = np.nan
    after = model(inputs, training=False)
    for name, value in before.items():
        np.testing.assert_allclose(value, after[name], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(before["image_embedding"], axis=-1), 1.0, rtol=1e-5)
    assert (before["match"].shape, model(inputs, training=True)["match"].shape) == ((3, 1), (3, 5))
    # What training judges as a wrong pair is what the model says of that pair.
    rows = hardest(before["image_embedding"], before["text_embedding"], 2)
    mixed = {**inputs, "image": inputs["image"][np.asarray(rows)[:, 1]]}
    judged = model(inputs, training=True)["match"][:, 2:3]
    np.testing.assert_allclose(model(mixed, training=False)["match"], judged, atol=1e-5)


def test_a_single_token_needs_no_attention():
    given = {name: keras.Input((1, 8), name=name) for name in ("image", "text")}
    tokens = {name: Tokens(each, ops.ones_like(each[:, :, 0], dtype="int32")) for name, each in given.items()}
    model = keras.Model(given, build(Encoded(tokens), Config(size=SIZE).spec(), Config(size=SIZE)))
    # Scores without an effect would have no gradient, and Keras would warn in every training.
    assert not [variable.path for variable in model.trainable_variables if "scores" in variable.path]
    values = RNG.normal(size=(2, 1, 8)).astype("float32")
    found = np.asarray(model({"image": values, "text": values})["image_embedding"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)


def test_a_tower_reads_its_own_input_alone():
    model = _model(Config(size=SIZE, pairs=1))
    parts = submodels(model, Config(size=SIZE, pairs=1).spec())
    assert {name: part.modalities for name, part in parts.items()} == {
        "image_tower": ("image",),
        "text_tower": ("text",),
    }
    tower = keras.Model({"image": model.input["image"]}, dict(parts["image_tower"].outputs))
    assert tower.output["embedding"].shape == (None, SIZE)


def test_layer_and_loss_find_wrong_partners_by_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """In mixed precision, too: rounded vectors have other neighbours."""
    seen: list[Any] = []

    def watched(*given: Any) -> Any:
        seen.append(given)
        return hardest(*given)

    monkeypatch.setattr(pairs, "hardest", watched)
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(6, 3, 8)).astype("float32")
    vectors = [unit(rng.normal(size=(6, 4))).astype("float32") for _ in range(2)]
    valid = np.ones((6, 3), "int32")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        logits = pairs.PairScores(1, 2, hard=1)(tokens, valid, tokens, valid, *vectors, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.shape == (6, 3)
    for given, own in zip(seen[0][:2], vectors, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(given), own)
