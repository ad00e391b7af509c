"""Multilabel: losses against hand values, scores against scikit-learn, thresholds, answers."""

from __future__ import annotations

import hypothesis
import keras
import numpy as np
import pytest
import sklearn.metrics as sk
import tensorflow as tf
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import Facts
from mmkeras.tasks.multilabel.head import MultilabelLoss
from mmkeras.tasks.multilabel.spec import Config, Spec
from tests.tasks.helpers import head_model, task

PROBABILITIES = np.array([[0.7, 0.2], [0.1, 0.6]], "float32")
TARGETS = np.array([[1, 0], [1, 1]], "float32")
AGREEMENT = np.array([[0.7, 0.8], [0.1, 0.6]])


def _loss(**options) -> np.ndarray:
    return keras.ops.convert_to_numpy(MultilabelLoss(reduction="none", **options)(TARGETS, PROBABILITIES))


def test_labels_come_from_the_data_unless_they_are_given():
    assert Config().completed(Facts(("b", "a"))).spec().labels == ("b", "a")
    assert Config(labels=("x",)).completed(Facts(("a", "b"))).spec().labels == ("x",)
    with pytest.raises(ConfigError, match="at least one, got none"):
        Config().spec()


def test_thresholds_by_label():
    assert Config(labels=("a", "b"), thresholds={"b": 0.2}).spec().thresholds == (0.5, 0.2)
    assert Config(labels=("a", "b"), thresholds=0.4).spec().thresholds == (0.4, 0.4)
    with pytest.raises(ConfigError, match="no label is called 'lable'; did you mean 'label'"):
        Config(thresholds={"lable": 0.2}).completed(Facts(("label",)))


def test_encoding_and_answer():
    spec, _ = task("multilabel")
    np.testing.assert_array_equal(spec.encode(["yes", "no", "yes"]), [1, 0, 1])
    np.testing.assert_array_equal(spec.encode([]), [0, 0, 0])
    np.testing.assert_array_equal(spec.encode("red"), [0, 1, 0])
    assert spec.decode({"probabilities": np.array([[0.25, 0.375, 0.75]], "float32")}) == [
        {"labels": ["yes", "red"], "scores": {"no": 0.25, "red": 0.375, "yes": 0.75}}
    ]


@hypothesis.given(st.sets(st.sampled_from(["a", "b", "c", "d"])))
def test_every_set_of_labels_comes_back(chosen):
    spec = Config(labels=("a", "b", "c", "d")).spec()
    assert set(spec.decode({"probabilities": spec.encode(chosen)[None]})[0]["labels"]) == chosen


def test_flips_follow_each_threshold():
    spec, _ = task("multilabel")
    reference = {"probabilities": np.array([[0.4, 0.29, 0.6]] * 3)}
    candidate = {"probabilities": np.array([[0.49, 0.1, 0.9], [0.4, 0.31, 0.6], [0.4, 0.29, 0.4]])}
    np.testing.assert_array_equal(spec.flips(reference, candidate), [False, True, True])


def test_a_margin_is_the_largest_distance_to_a_threshold_that_was_crossed():
    spec, _ = task("multilabel")
    own = {"probabilities": np.array([[0.4, 0.29, 0.6]] * 3)}
    other = {"probabilities": np.array([[0.49, 0.1, 0.9], [0.4, 0.31, 0.4], [0.4, np.nan, 0.6]])}
    changed = np.abs(np.array([0.29, 0.6]) - np.array(spec.thresholds)[1:]).max()
    np.testing.assert_allclose(spec.margins(own, other), [0, changed, np.inf], rtol=1e-6)


def test_cross_entropy():
    np.testing.assert_allclose(_loss(), -np.log(AGREEMENT).mean(1), rtol=1e-5)


def test_label_smoothing_equals_keras():
    theirs = keras.losses.BinaryCrossentropy(label_smoothing=0.2, reduction="none")(TARGETS, PROBABILITIES)
    np.testing.assert_allclose(_loss(label_smoothing=0.2), theirs, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_loss_equals_its_paper_and_keras(smoothing: float):
    theirs = keras.losses.BinaryFocalCrossentropy(gamma=2.0, label_smoothing=smoothing, reduction="none")
    found = _loss(focal_gamma=2.0, label_smoothing=smoothing)
    np.testing.assert_allclose(found, theirs(TARGETS, PROBABILITIES), rtol=1e-5)
    if not smoothing:
        np.testing.assert_allclose(found, (-((1 - AGREEMENT) ** 2) * np.log(AGREEMENT)).mean(1), rtol=1e-5)


def test_class_weights_count_where_the_label_is_set():
    each = -np.log(AGREEMENT) * [[3.0, 1.0], [3.0, 0.5]]
    np.testing.assert_allclose(_loss(class_weights=[3.0, 0.5]), each.mean(1), rtol=1e-5)


@pytest.mark.parametrize("logit", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("options", [{}, {"focal_gamma": 2.0}])
def test_a_confident_wrong_answer_keeps_its_gradient(logit: float, options: dict[str, float]):
    model = head_model("multilabel", dropout=0.0, **options)
    model.get_layer("head_logits").set_weights([np.zeros((8, 3)), np.array([logit, -logit, 0.0])])
    model.optimizer.learning_rate = 1.0
    before = model.get_layer("head_logits").get_weights()[1]
    model.train_on_batch({"pooled": np.ones((1, 8))}, {"probabilities": np.array([[0.0, 1.0, 0.0]], "float32")})
    step = before - model.get_layer("head_logits").get_weights()[1]
    assert step[0] > 0.9 / 3
    assert step[1] < -0.9 / 3


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_a_perfect_answer_has_no_nan_gradient(gamma: float):
    logits = tf.constant([[200.0, -200.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MultilabelLoss(focal_gamma=gamma)(tf.constant([[1.0, 0.0]]), keras.ops.sigmoid(logits))
    np.testing.assert_array_equal(tape.gradient(loss, logits), 0.0)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(seed=st.integers(0, 10**6), samples=st.integers(1, 30), labels=st.integers(1, 5))
def test_score_equals_scikit_learn(seed: int, samples: int, labels: int):
    rng = np.random.default_rng(seed)
    thresholds = rng.uniform(0.2, 0.8, labels).round(2)
    spec = Spec(labels=tuple(map(str, range(labels))), thresholds=tuple(thresholds))
    targets, weight = rng.integers(0, 2, (samples, labels)), rng.uniform(0.1, 2, samples)
    # Rounded, so that there are ties.
    probabilities = rng.random((samples, labels)).round(1)
    decided = probabilities >= thresholds.astype("float32")
    score = spec.score(targets, {"probabilities": probabilities}, weight)
    options = {"sample_weight": weight, "zero_division": 0.0}
    precisions = [
        sk.average_precision_score(targets[:, i], probabilities[:, i], sample_weight=weight)
        for i in range(labels)
        if targets[:, i].any()
    ]
    f1 = [
        sk.f1_score(targets[:, i], decided[:, i], **options)
        for i in range(labels)
        if targets[:, i].any() or decided[:, i].any()
    ]
    own = np.clip(np.where(targets > 0.5, probabilities, 1.0 - probabilities.astype(np.float64)), 1e-7, 1.0)
    hits, both = (weight @ (targets * decided)).sum(), (weight @ (targets + decided)).sum()
    assert score == pytest.approx(
        {
            "micro_f1": 2 * hits / both if both else 0.0,
            "macro_f1": np.mean(f1) if f1 else np.nan,
            "mean_average_precision": np.mean(precisions) if precisions else np.nan,
            "exact_match": np.average((targets == decided).all(1), weights=weight),
            "cross_entropy": np.average(-np.log(own).mean(1), weights=weight),
        },
        nan_ok=True,
    )
    if labels > 1:
        assert score["micro_f1"] == pytest.approx(sk.f1_score(targets, decided, average="micro", **options))


def test_micro_f1_has_thresholds_by_label():
    spec = Spec(labels=("a", "b"), thresholds=(0.5, 0.9))
    outputs = {"probabilities": np.array([[0.6, 0.8], [0.4, 0.95]])}
    score = spec.score(np.array([[1, 0], [1, 1]]), outputs, np.array([1.0, 2.0]))
    assert score["micro_f1"] == pytest.approx(2 * 3 / (1 + 1 + 2 * 3))
    nothing = {"probabilities": np.zeros((2, 2))}
    assert spec.score(np.zeros((2, 2)), nothing)["micro_f1"] == 0.0
