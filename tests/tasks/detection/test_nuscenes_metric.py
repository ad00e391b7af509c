from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from mmkeras.tasks.detection.classes import CLASS_RANGE
from mmkeras.tasks.detection.nuscenes_metric import DISTANCES, ERRORS, ClassMatches, Summary, match, scored, summarise
from tests.tasks.detection.devkit import devkit
from tests.tasks.detection.scenes import CLASSES, KINDS, Scene, boxes, changed, oracle, scene

SEEDS = 20


def matches(each: Scene) -> dict[str, ClassMatches]:
    ranges = tuple(CLASS_RANGE.values())
    return match(scored(each.truth, ranges), scored(each.found, ranges), CLASSES, each.samples)


def check(found: Summary, expected: dict[str, Any]) -> None:
    exactly: dict[str, Any] = {"rtol": 0, "atol": 1e-9, "equal_nan": True}
    for i, name in enumerate(CLASSES):
        aps = [expected["label_aps"][name][limit] for limit in DISTANCES]
        np.testing.assert_allclose(found.average_precision[i], aps, **exactly)
        errors = [expected["label_tp_errors"][name][error] for error in ERRORS]
        np.testing.assert_allclose(found.class_errors[i], errors, **exactly)
    np.testing.assert_allclose(found.mean_ap(), expected["mean_ap"], **exactly)
    np.testing.assert_allclose(found.errors(), [expected["tp_errors"][error] for error in ERRORS], **exactly)
    np.testing.assert_allclose(found.detection_score(), expected["nd_score"], **exactly)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_devkit(kind: str):
    kit = devkit()
    for seed in range(SEEDS):
        each = scene(kind, seed)
        check(summarise(matches(each)), oracle(kit, each))


@pytest.mark.parametrize("kind", ["plain", "nan velocities", "no attributes", "one class", "low recall"])
def test_whole_weights_are_copies_of_samples(kind: str):
    kit = devkit()
    for seed in range(8):
        each = scene(kind, seed)
        counts = np.random.default_rng(seed).integers(0, 4, each.samples)
        check(summarise(matches(each), counts.astype(np.float32)), oracle(kit, each, counts))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_one_change_nothing(kind: str):
    found = matches(scene(kind, 3))
    plain = summarise(found)
    for weights in (np.ones(100), np.ones(100, np.int64)):
        weighted = summarise(found, weights[: len(found[CLASSES[0]].truth)])
        for name, value in vars(plain).items():
            np.testing.assert_array_equal(getattr(weighted, name), value)


def test_weights_that_are_no_counts_lie_between():
    found = matches(scene("plain", 1))
    samples = len(found[CLASSES[0]].truth)
    some = np.where(np.arange(samples) % 2, 1.0, 2.0)
    low, high = summarise(found, some), summarise(found, some + 1e-9)
    assert high.mean_ap() == pytest.approx(low.mean_ap(), abs=0.02)
    np.testing.assert_allclose(high.errors(), low.errors(), atol=0.05)
    nearly = summarise(found, np.full(samples, 1 + 1e-12))
    assert nearly.mean_ap() == pytest.approx(summarise(found).mean_ap(), abs=1e-9)
    np.testing.assert_allclose(nearly.errors(), summarise(found).errors(), atol=1e-9)
    assert nearly.velocity_error == pytest.approx(summarise(found).velocity_error)


def test_a_weight_of_nothing_leaves_a_sample_out():
    each = scene("plain", 5)
    rows = [side.take(side.sample > 0) for side in (each.truth, each.found)]
    without = summarise(matches(Scene(rows[0], rows[1], each.samples)))
    for weights in (1.0, 0.5):
        found = summarise(matches(each), np.where(np.arange(each.samples) > 0, weights, 0.0))
        assert found.mean_ap() == pytest.approx(without.mean_ap())
        assert found.velocity_error == pytest.approx(without.velocity_error)


def test_classes_without_truth_may_be_left_out():
    each = scene("one class", 0)
    found = summarise(matches(each))
    assert found.mean_ap(present_only=True) == pytest.approx(10 * found.mean_ap())
    nothing = summarise(matches(scene("nothing", 0)))
    assert np.isnan(nothing.mean_ap(present_only=True))
    assert np.isnan(nothing.detection_score(present_only=True))
    assert np.isnan(nothing.velocity_error)
    assert nothing.mean_ap() == 0.0


def test_unseen_objects_count_where_asked_for():
    each = scene("plain", 2)
    truth = changed(each.truth, points=np.zeros(len(each.truth), np.int64))
    ranges = tuple(CLASS_RANGE.values())
    assert len(scored(truth, ranges)) == 0
    assert len(scored(truth, ranges, count_unseen=True)) == len(scored(each.truth, ranges))


def test_a_bootstrap_draw_takes_milliseconds():
    rng = np.random.default_rng(0)
    samples, classes = 700, np.arange(4)
    truth = boxes(rng, 5 * samples, samples, classes, 40.0)
    found = matches(Scene(truth, boxes(rng, 50 * samples, samples, classes, 40.0), samples))
    counts = np.bincount(rng.integers(0, samples, samples), minlength=samples)
    took = []
    for _ in range(7):
        start = time.perf_counter()
        summarise(found, counts)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.01
