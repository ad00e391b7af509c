import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from mmkeras.evaluation.calibration import BINS, calibration, reliability
from mmkeras.evaluation.classes import confusion, per_class
from mmkeras.evaluation.intervals import SLOW_RESAMPLES, Bootstrap
from tests.evaluation.problems import LABELS, known, numbers, numbers_task, probabilities, several, several_task, task

BOOTSTRAP = Bootstrap(100)
THRESHOLDS = np.asarray(several_task().thresholds, np.float32)


def test_per_class_equals_scikit_learn_and_starts_with_the_worst():
    targets, outputs = probabilities(400, 4)
    weights = np.random.default_rng(1).random(400).astype(np.float32)
    found = per_class(task(), targets, {"probabilities": outputs}, weights, BOOTSTRAP)
    oracle = sk.precision_recall_fscore_support(targets, outputs.argmax(1), sample_weight=weights)
    for i, label in enumerate(LABELS):
        for metric, expected in zip(("precision", "recall", "f1"), oracle, strict=False):
            interval = found[label][metric]
            assert interval["value"] == pytest.approx(expected[i], abs=1e-6)
            assert interval["low"] < interval["value"] < interval["high"]
        assert found[label]["samples"] == (targets == i).sum()
    scores = [entry["f1"]["value"] for entry in found.values()]
    assert scores == sorted(scores)


def test_a_class_that_is_never_said_has_no_precision():
    targets = np.zeros(40, np.int32)
    outputs = np.tile(np.asarray([0.9, 0.1, 0, 0], np.float32), (40, 1))
    found = per_class(task(), targets, {"probabilities": outputs}, np.ones(40, np.float32), BOOTSTRAP)
    assert found[LABELS[1]]["precision"]["value"] is None
    assert found[LABELS[1]]["few"] is True
    assert found[LABELS[0]]["recall"]["value"] == 1.0


def test_confusion_equals_scikit_learn():
    targets, outputs = probabilities(300, 4)
    found = known(confusion(task(), targets, {"probabilities": outputs}))
    oracle = sk.confusion_matrix(targets, outputs.argmax(1))
    assert found["matrix"] == oracle.tolist()
    wrong = oracle - np.diag(oracle.diagonal())
    assert found["top"][0]["count"] == wrong.max()
    assert len(found["top"]) == np.count_nonzero(wrong)


def test_several_labels_equal_scikit_learn():
    targets, outputs = several()
    found = Bootstrap(200).score(several_task(), targets, {"probabilities": outputs})
    assert [n for n, m in found.methods.items() if m == "bootstrap-slow"] == ["mean_average_precision"]
    assert len(found.draws["mean_average_precision"]) == SLOW_RESAMPLES
    cells = known(confusion(several_task(), targets, {"probabilities": outputs}))["per_label"]
    oracle = sk.multilabel_confusion_matrix(targets, outputs >= THRESHOLDS)
    for i, label in enumerate(LABELS):
        tn, fp, fn, tp = oracle[i].ravel()
        assert cells[label] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    classes = per_class(several_task(), targets, {"probabilities": outputs}, np.ones(300, np.float32), BOOTSTRAP)
    f1 = sk.f1_score(targets, outputs >= THRESHOLDS, average=None)
    assert {label: entry["f1"]["value"] for label, entry in classes.items()} == pytest.approx(
        dict(zip(LABELS, f1, strict=True))
    )


def test_numbers_equal_scikit_learn_in_every_draw():
    targets, value = numbers()
    bootstrap = Bootstrap(5)
    found = bootstrap.score(numbers_task(), targets, {"value": value})
    assert set(found.methods.values()) == {"bootstrap"}
    for i, counts in enumerate(np.concatenate(list(bootstrap.counts(300))).astype(int)):
        pair = np.repeat(targets, counts, axis=0), np.repeat(value, counts, axis=0)
        assert found.draws["mae"][i] == pytest.approx(sk.mean_absolute_error(*pair), rel=1e-4)
        assert found.draws["rmse"][i] == pytest.approx(sk.root_mean_squared_error(*pair), rel=1e-4)
        assert found.draws["r2"][i] == pytest.approx(sk.r2_score(*pair), abs=1e-3)
    assert confusion(numbers_task(), targets, {"value": value}) is None
    each = per_class(numbers_task(), targets, {"value": value}, np.ones(300, np.float32), BOOTSTRAP)
    assert each["distance"]["bias"]["value"] == pytest.approx((value - targets)[:, 0].mean(), rel=1e-3)
    residuals = known(calibration(numbers_task(), targets, {"value": value}, np.ones(300, np.float32)))
    assert residuals["numbers"]["distance"]["mean"] == pytest.approx(1, abs=0.3)


def test_reliability_equals_scikit_learn():
    rng = np.random.default_rng(0)
    confidence = rng.random(3000)
    correct = rng.random(3000) < confidence**2
    found = reliability(confidence, correct, np.ones(3000))
    share, mean = calibration_curve(correct, confidence, n_bins=BINS)
    assert [entry["accuracy"] for entry in found["bins"]] == pytest.approx(list(share))
    assert [entry["confidence"] for entry in found["bins"]] == pytest.approx(list(mean))
    counts = np.array([entry["samples"] for entry in found["bins"]])
    assert counts.sum() == 3000
    assert found["ece"] == pytest.approx((np.abs(share - mean) * counts).sum() / 3000)
    assert found["mce"] == pytest.approx(np.abs(share - mean).max())


def test_calibrated_answers_have_a_small_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    assert reliability(confidence, rng.random(20_000) < confidence, np.ones(20_000))["ece"] < 0.02
    sure = reliability(np.ones(10), np.zeros(10, bool), np.ones(10))
    assert sure["ece"] == sure["mce"] == 1.0
    assert sure["bins"][0]["accuracy"] is None
