import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from mmkeras.evaluation.calibration import BINS, calibration, reliability
from mmkeras.evaluation.classes import confusion, per_class
from mmkeras.evaluation.intervals import SLOW_RESAMPLES, Bootstrap
from tests.evaluation.problems import (
    LABELS,
    known,
    numbers,
    numbers_task,
    probabilities,
    scored,
    several,
    several_task,
    task,
)

BOOTSTRAP = Bootstrap(100)
THRESHOLDS = np.asarray(several_task().thresholds, np.float32)


def test_per_class_equals_scikit_learn_and_starts_with_the_worst():
    targets, outputs = probabilities(400, 4)
    weights = np.random.default_rng(1).random(400).astype(np.float32)
    found = per_class(task(), task().evidence(targets, {"probabilities": outputs}), weights, BOOTSTRAP)
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
    found = per_class(task(), task().evidence(targets, {"probabilities": outputs}), np.ones(40, np.float32), BOOTSTRAP)
    assert found[LABELS[1]]["precision"]["value"] is None
    assert found[LABELS[1]]["few"] is True
    assert found[LABELS[0]]["recall"]["value"] == 1.0


def test_confusion_equals_scikit_learn():
    targets, outputs = probabilities(300, 4)
    found = known(confusion(task(), task().evidence(targets, {"probabilities": outputs})))
    oracle = sk.confusion_matrix(targets, outputs.argmax(1))
    assert found["matrix"] == oracle.tolist()
    wrong = oracle - np.diag(oracle.diagonal())
    assert found["top"][0]["count"] == wrong.max()
    assert len(found["top"]) == np.count_nonzero(wrong)


def test_several_labels_equal_scikit_learn():
    targets, outputs = several()
    found = scored(Bootstrap(200), several_task(), targets, {"probabilities": outputs})
    assert [n for n, m in found.methods.items() if m == "bootstrap-slow"] == ["mean_average_precision"]
    assert len(found.draws["mean_average_precision"]) == SLOW_RESAMPLES
    evidence = several_task().evidence(targets, {"probabilities": outputs})
    cells = known(confusion(several_task(), evidence))["per_label"]
    oracle = sk.multilabel_confusion_matrix(targets, outputs >= THRESHOLDS)
    for i, label in enumerate(LABELS):
        tn, fp, fn, tp = oracle[i].ravel()
        assert cells[label] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    classes = per_class(several_task(), evidence, np.ones(300, np.float32), BOOTSTRAP)
    f1 = sk.f1_score(targets, outputs >= THRESHOLDS, average=None)
    assert {label: entry["f1"]["value"] for label, entry in classes.items()} == pytest.approx(
        dict(zip(LABELS, f1, strict=True))
    )


def test_numbers_equal_scikit_learn_in_every_draw():
    targets, value = numbers()
    bootstrap = Bootstrap(5)
    found = scored(bootstrap, numbers_task(), targets, {"value": value})
    assert set(found.methods.values()) == {"bootstrap"}
    for i, counts in enumerate(np.concatenate(list(bootstrap.counts(300))).astype(int)):
        pair = np.repeat(targets, counts, axis=0), np.repeat(value, counts, axis=0)
        assert found.draws["mae"][i] == pytest.approx(sk.mean_absolute_error(*pair), rel=1e-4)
        assert found.draws["rmse"][i] == pytest.approx(sk.root_mean_squared_error(*pair), rel=1e-4)
        assert found.draws["r2"][i] == pytest.approx(sk.r2_score(*pair), abs=1e-3)
    evidence, ones = numbers_task().evidence(targets, {"value": value}), np.ones(300, np.float32)
    assert confusion(numbers_task(), evidence) is None
    each = per_class(numbers_task(), evidence, ones, BOOTSTRAP)
    assert each["distance"]["bias"]["value"] == pytest.approx((value - targets)[:, 0].mean(), rel=1e-3)
    residuals = known(calibration(numbers_task(), evidence, ones))
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


def test_the_calibration_error_of_weighted_samples_is_known():
    """Two bins of 15: (0.6, 0.667] with one right of two, (0.933, 1] with one wrong."""
    confidence, correct = np.array([0.62, 0.66, 0.95]), np.array([True, False, False])
    weights = np.array([1.0, 3.0, 4.0])
    first, second = abs((0.62 + 3 * 0.66) / 4 - 1 / 4), 0.95
    found = reliability(confidence, correct, weights)
    assert found["ece"] == pytest.approx((4 * first + 4 * second) / 8)
    assert found["mce"] == pytest.approx(second)
    assert [entry["samples"] for entry in found["bins"] if entry["samples"]] == [2, 1]
    for repeated in (np.repeat(np.arange(3), weights.astype(int)),):
        again = reliability(confidence[repeated], correct[repeated], np.ones(8))
        assert again["ece"] == pytest.approx(found["ece"])


def test_a_confidence_at_an_edge_counts_in_the_bin_below():
    """Bins are (low, high]: with 2 bins 0.5 is in the first one, 0 too, and 1 in the last one."""
    found = reliability(np.array([0.0, 0.5, 0.6, 1.0]), np.array([False, True, True, True]), np.ones(4), bins=2)
    assert [entry["samples"] for entry in found["bins"]] == [2, 2]
    assert found["ece"] == pytest.approx((abs(0.25 - 0.5) + abs(0.8 - 1.0)) / 2)


@pytest.mark.parametrize("kind", ["one label", "several labels", "numbers"])
def test_a_whole_weight_counts_like_copies_everywhere(kind):
    spec, (targets, values), output = {
        "one label": (task(), probabilities(150, 4), "probabilities"),
        "several labels": (several_task(), several(), "probabilities"),
        "numbers": (numbers_task(), numbers(), "value"),
    }[kind]
    weights = (np.arange(len(targets)) * 7 % 4).astype(np.float32)
    copies = np.repeat(np.arange(len(targets)), weights.astype(int))
    ones = np.ones(len(copies), np.float32)
    weighed = spec.evidence(targets, {output: values}), weights
    copied = spec.evidence(targets[copies], {output: values[copies]}), ones
    scores = [Bootstrap(3).score(spec, *each).values for each in (weighed, copied)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[0] != pytest.approx(spec.score(targets, {output: values}), rel=1e-3)
    found, again = (
        {
            f"{name} {metric}": entry[metric]["value"]
            for name, entry in per_class(spec, *each, BOOTSTRAP).items()
            for metric in entry
            if metric not in ("samples", "few")
        }
        for each in (weighed, copied)
    )
    assert found == pytest.approx(again, rel=1e-4)
    one, other = (_numbers(known(calibration(spec, *each))) for each in (weighed, copied))
    assert one == pytest.approx(other, rel=1e-4)
    lines = [spec.constant_outputs(*each) for each in ((targets, weights), (targets[copies], ones))]
    np.testing.assert_allclose(known(lines[0])[output][0], known(lines[1])[output][0], rtol=1e-5)


def _numbers(value, name=""):
    """Return the numbers in a calibration by their path, but counts and drawn samples."""
    if isinstance(value, dict):
        kept = ((key, each) for key, each in value.items() if key not in ("samples", "truth", "residual"))
        return {path: number for key, each in kept for path, number in _numbers(each, f"{name}/{key}").items()}
    if isinstance(value, list):
        return {path: n for i, each in enumerate(value) for path, n in _numbers(each, f"{name}/{i}").items()}
    return {name: value} if isinstance(value, float) else {}


def test_calibrated_answers_have_a_small_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    assert reliability(confidence, rng.random(20_000) < confidence, np.ones(20_000))["ece"] < 0.02
    sure = reliability(np.ones(10), np.zeros(10, bool), np.ones(10))
    assert sure["ece"] == sure["mce"] == 1.0
    assert sure["bins"][0]["accuracy"] is None
