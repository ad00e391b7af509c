"""Classification: losses against hand values, scores against scikit-learn, answers."""

from __future__ import annotations

import hypothesis
import keras
import numpy as np
import pytest
import sklearn.metrics as sk
import tensorflow as tf
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import Facts
from mmkeras.tasks.classification.head import ClassificationLoss, losses
from mmkeras.tasks.classification.spec import Config, Spec
from tests.tasks.helpers import head_model, task

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25]], "float32")
INDEX = np.array([0, 0, 1])
TRUE = np.array([0.7, 0.1, 0.5])


def _loss(**options) -> np.ndarray:
    loss = ClassificationLoss(3, reduction="none", **options)
    return keras.ops.convert_to_numpy(loss(INDEX, PROBABILITIES))


def test_labels_come_from_the_data_unless_they_are_given():
    assert Config().completed(Facts(("b", "a"))).spec().labels == ("b", "a")
    assert Config(labels=("x", "y")).completed(Facts(("a", "b"))).spec().labels == ("x", "y")
    with pytest.raises(ConfigError, match="at least two, got \\[\\]"):
        Config().spec()


@pytest.mark.parametrize(("written", "label"), [("3", "3"), (3, "3"), (True, "True"), (np.int64(3), "3")])
def test_labels_may_be_numbers_and_booleans(written, label):
    assert Spec(labels=("3", "True")).encode(written) == ("3", "True").index(label)


@hypothesis.given(st.lists(st.text(min_size=1), min_size=2, max_size=20, unique=True))
def test_every_label_comes_back(labels):
    spec = Config(labels=tuple(labels)).spec()
    index = np.array([spec.encode(label) for label in labels])
    answers = spec.decode({"probabilities": np.eye(len(labels), dtype="float32")[index]})
    assert [answer["label"] for answer in answers] == labels


def test_answer():
    spec, _ = task("classification")
    assert spec.decode({"probabilities": np.array([[0.125, 0.25, 0.625]], "float32")}) == [
        {
            "label": "yes",
            "confidence": 0.625,
            "top": [
                {"label": "yes", "confidence": 0.625},
                {"label": "red", "confidence": 0.25},
                {"label": "no", "confidence": 0.125},
            ],
        }
    ]


def test_flips_are_other_decisions_only():
    spec, _ = task("classification")
    other = np.array([[0.4, 0.35, 0.25], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3]], "float32")
    np.testing.assert_array_equal(
        spec.flips({"probabilities": PROBABILITIES}, {"probabilities": other}), [False, True, False]
    )


def test_a_margin_is_how_much_the_own_class_was_preferred():
    spec, _ = task("classification")
    own = {"probabilities": np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.5, 0.3, 0.2]])}
    other = {"probabilities": np.array([[0.9, 0.1, 0], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3], [np.nan, 0.3, 0.2]])}
    np.testing.assert_allclose(spec.margins(own, other), [0, 0.3, 0.05, np.inf])


def test_cross_entropy():
    np.testing.assert_allclose(_loss(), -np.log(TRUE), rtol=1e-5)


def test_label_smoothing():
    smooth = 0.7 * np.eye(3)[INDEX] + 0.1
    np.testing.assert_allclose(_loss(label_smoothing=0.3), -(smooth * np.log(PROBABILITIES)).sum(1), rtol=1e-5)


def test_focal_loss_equals_its_paper_and_keras():
    np.testing.assert_allclose(_loss(focal_gamma=2.0), -((1 - TRUE) ** 2) * np.log(TRUE), rtol=1e-5)
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, reduction="none")
    np.testing.assert_allclose(_loss(focal_gamma=2.0), theirs(np.eye(3)[INDEX], PROBABILITIES), rtol=1e-5)


def test_class_weights():
    np.testing.assert_allclose(_loss(class_weights=[2.0, 0.5, 1.0]), [2, 2, 0.5] * -np.log(TRUE), rtol=1e-5)


def test_weights_by_label_and_balanced():
    def weights(counts=None, **options):
        return losses(*task("classification", **options), counts)["probabilities"].class_weights

    assert weights(class_weights={"red": 3.0}) == [1, 3, 1]
    assert weights() is None
    counts = {"no": 1, "red": 2, "yes": 5}
    written = np.repeat(list(counts), list(counts.values()))
    expected = compute_class_weight("balanced", classes=np.array(list(counts)), y=written)
    assert weights(counts, class_weights="balanced") == pytest.approx(expected)
    assert weights({"no": 1, "red": 3}, class_weights="balanced") == pytest.approx([2, 2 / 3, 1])
    with pytest.raises(ConfigError, match="needs the class counts"):
        weights(class_weights="balanced")


@pytest.mark.parametrize("margin", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("options", [{}, {"focal_gamma": 2.0}, {"label_smoothing": 0.1}])
def test_a_confident_wrong_answer_keeps_its_gradient(margin: float, options: dict[str, float]):
    model = head_model("classification", dropout=0.0, **options)
    kernel = np.zeros((8, 3), "float32")
    kernel[0, 0] = margin
    model.get_layer("head_logits").set_weights([kernel, np.zeros(3)])
    model.optimizer.learning_rate = 1.0
    model.train_on_batch({"pooled": np.ones((1, 8))}, {"probabilities": np.array([1])})
    step = -model.get_layer("head_logits").get_weights()[1]
    assert step[0] > 0.9
    assert step[1] < -0.9


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_a_perfect_answer_has_no_nan_gradient(gamma: float):
    logits = tf.constant([[200.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ClassificationLoss(3, focal_gamma=gamma)(tf.constant([0]), keras.ops.softmax(logits))
    np.testing.assert_array_equal(tape.gradient(loss, logits), 0.0)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(seed=st.integers(0, 10**6), samples=st.integers(1, 30), classes=st.integers(2, 6))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
def test_score_equals_scikit_learn(seed: int, samples: int, classes: int):
    rng = np.random.default_rng(seed)
    spec = Spec(labels=tuple(map(str, range(classes))))
    targets, weight = rng.integers(0, classes, samples), rng.uniform(0.1, 2, samples)
    probabilities = rng.dirichlet(np.ones(classes), samples)
    decided = probabilities.argmax(1)
    score = spec.score(targets, {"probabilities": probabilities}, weight)
    expected = sk.matthews_corrcoef(targets, decided, sample_weight=weight)
    assert score.pop("mcc") == pytest.approx(expected, abs=1e-4)
    assert score == pytest.approx(
        {
            "accuracy": sk.accuracy_score(targets, decided, sample_weight=weight),
            "macro_f1": sk.f1_score(targets, decided, average="macro", sample_weight=weight),
            "balanced_accuracy": sk.balanced_accuracy_score(targets, decided, sample_weight=weight),
            "cross_entropy": sk.log_loss(targets, probabilities, labels=range(classes), sample_weight=weight),
        },
        rel=1e-4,
    )


def test_nan_counts_as_wrong():
    spec, _ = task("classification")
    broken = np.array([[np.nan, 1.0, 1.0], [0.8, 0.1, 0.1]])
    score = spec.score(np.array([0, 0]), {"probabilities": broken})
    assert score["accuracy"] == 0.5
    assert score["cross_entropy"] == pytest.approx((-np.log(1e-7) - np.log(0.8)) / 2)
    assert score["mcc"] == 0.0
    assert spec.decode({"probabilities": broken})[0]["label"] is None
