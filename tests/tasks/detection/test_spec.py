from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.modalities import NO_FACTS
from mmkeras.tasks import task_from_json
from mmkeras.tasks.detection import scores
from mmkeras.tasks.detection.classes import attributes_by_speed
from mmkeras.tasks.detection.peaks import find_peaks
from mmkeras.tasks.detection.spec import Config, Spec
from tests.tasks.detection.maps import CAMERA, perfect_maps, random_boxes, spec


def drive(task: Spec, samples: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return targets and maps that are nearly perfect."""
    rng = np.random.default_rng(seed)
    targets = np.stack([task.encode({"boxes": random_boxes(rng, int(rng.integers(2, 9)))}) for _ in range(samples)])
    maps = perfect_maps(task, targets)
    noise = {name: (rng.normal(size=value.shape) * 0.2).astype(np.float32) for name, value in maps.items()}
    heat = np.clip(maps["heatmap"] + 0.5 * noise["heatmap"], 0.001, 0.999)
    return targets, {name: value + noise[name] for name, value in maps.items()} | {"heatmap": heat}


def test_json_and_tuples():
    given: dict[str, Any] = {
        "labels": ["car", "tram"],
        "camera": list(CAMERA),
        "class_range": {"car": 60},
        "count_unseen": True,
    }
    task = Config(**given).spec()
    assert task.class_range == (60.0, 50.0)
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task
    assert Config(**given).completed(NO_FACTS).spec() == task
    hash(task)


def test_outputs_follow_camera_and_stride():
    shapes = {each.name: each.shape for each in spec(camera=[250, 90, 200, 100, 40], labels=["car"]).outputs}
    assert list(shapes) == ["heatmap", "box", "offset", "depth", "size", "yaw", "velocity"]
    assert shapes["heatmap"] == (12, 32, 1)
    assert shapes["size"] == (12, 32, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"camera": []}, "camera: expected one camera .* no picture has one. Set focal"),
        ({"camera": [1, 2, 3]}, "camera: expected width"),
        ({"camera": [256, 96, 0, 1, 1]}, "camera: expected width"),
        ({"camera_pose": [0] * 7}, "camera_pose: Expected a pose.*unit quaternion"),
        ({"camera_pose": [0] * 3}, "camera_pose: Expected a pose.*expected 7, got 3"),
        ({"labels": []}, "labels: expected at least one"),
        ({"labels": ["car", "car"]}, "labels"),
        ({"class_range": {"cra": 50.0}}, "did you mean 'car'"),
        ({"class_range": {"car": 0.0}}, "class_range.car: expected a distance"),
        ({"stride": 0}, "stride: expected a whole number"),
        ({"max_objects": 0, "max_detections": 0}, "max_objects.*\n.*max_detections"),
        ({"score_threshold": 1.0}, "score_threshold: expected"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        spec(**options)


def test_perfect_maps_score_perfectly():
    task = spec(count_unseen=True)
    rng = np.random.default_rng(0)
    targets = np.stack([task.encode({"boxes": random_boxes(rng, 2)}) for _ in range(80)])
    maps = perfect_maps(task, targets)
    # Objects that share a cell cannot both be found.
    alone = (maps["heatmap"] > 0).sum(axis=(1, 2, 3)) == (targets[:, :-1, 0] > 0).sum(axis=1)
    score = task.score(targets[alone], {name: value[alone] for name, value in maps.items()})
    assert score["mAP"] == pytest.approx(1.0)
    for name in ("mATE", "mASE", "mAOE", "mAVE", "velocity_error"):
        assert score[name] == pytest.approx(0.0, abs=1e-3)
    if "AP_2d" in score:
        assert score["AP_2d"] == pytest.approx(1.0)
    assert score["NDS_front"] == pytest.approx((5 + 4 + 1 - score["mAAE"]) / 10, abs=1e-3)
    assert "NDS" not in score


def test_classes_that_do_not_occur_have_no_say():
    task = spec()
    car = {"name": "car", "centre": [20.0, 1.0, 0.8], "size": [1.8, 4.5, 1.6], "yaw": 0.3, "lidar_points": 3}
    targets = task.encode({"boxes": [car]})[None]
    score = task.score(targets, perfect_maps(task, targets))
    assert score["mAP"] == score["AP_car"] == pytest.approx(1.0)
    assert np.isnan(score["AP_truck"])
    empty = task.score(task.encode({"boxes": []})[None], perfect_maps(task, targets))
    assert np.isnan(empty["mAP"])


def test_a_weight_counts_like_that_many_samples():
    task = spec()
    targets, maps = drive(task, 12)
    times = np.random.default_rng(0).integers(0, 4, 12)
    copies = {name: np.repeat(value, times, axis=0) for name, value in maps.items()}
    repeated = task.score(np.repeat(targets, times, axis=0), copies)
    assert task.score(targets, maps, times) == pytest.approx(repeated, abs=1e-12, nan_ok=True)
    with pytest.raises(DataError, match="at least one sample"):
        task.score(targets[:0], {name: value[:0] for name, value in maps.items()})


def test_the_bootstrap_weighs():
    task = spec()
    targets, maps = drive(task, 60)
    bootstrap = Bootstrap(20)
    draws = bootstrap.score(task, task.evidence(targets, maps))
    counts = np.concatenate(list(bootstrap.counts(60)))
    expected = [task.score(targets, maps, row)["mAP"] for row in counts]
    np.testing.assert_allclose(draws.draws["mAP"], expected)
    interval = draws.interval("mAP")
    assert 0.2 < interval.low < interval.value < interval.high < 1


def test_without_pycocotools_the_flat_numbers_are_left_out(monkeypatch: pytest.MonkeyPatch):
    task = spec()
    targets, maps = drive(task, 3)
    whole = task.score(targets, maps)
    monkeypatch.setattr(scores, "available", lambda: False)
    rest = task.score(targets, maps)
    assert set(whole) - set(rest) <= {"AP_2d", "AP50_2d"}
    assert "AP_2d" not in rest


def test_answers_are_json_and_skip_what_is_not_finite():
    task = spec()
    targets, maps = drive(task, 4)
    whole = task.decode(maps)
    json.dumps(whole, allow_nan=False)
    row, column = np.argwhere(maps["heatmap"][0].max(axis=-1) > 0.6)[0]
    for name, value in (("depth", np.nan), ("velocity", np.inf), ("heatmap", np.nan), ("box", -np.inf)):
        broken = {key: each.copy() for key, each in maps.items()}
        broken[name][0, row, column, 0] = value
        answers = task.decode(broken)
        json.dumps(answers, allow_nan=False)
        assert answers[1:] == whole[1:]
        assert len(answers[0]["detections"]) <= len(whole[0]["detections"]) + 1
        expected = [True, False, False, False]
        for pair in ((maps, broken), (broken, maps), (broken, broken)):
            np.testing.assert_array_equal(task.flips(*pair), expected)
    everything = {key: np.full_like(each, np.nan) for key, each in maps.items()}
    assert task.decode(everything) == [{"detections": []}] * 4
    assert np.isfinite(task.score(targets, everything)["mAP"])


def test_huge_numbers_stay_json():
    task = spec()
    maps = {each.name: np.full((1, *each.shape), 3e38, np.float32) for each in task.outputs}
    json.dumps(task.decode(maps), allow_nan=False)


def test_flips():
    task = spec()
    _, maps = drive(task, 3)
    assert not task.flips(maps, maps).any()
    row, column, label = np.unravel_index(maps["heatmap"][1].argmax(), maps["heatmap"][1].shape)

    def flips(name: str, place: Any, change: float) -> list[bool]:
        other = {key: each.copy() for key, each in maps.items()}
        other[name][1][place] += change
        result: list[bool] = task.flips(maps, other).tolist()
        assert result == task.flips(other, maps).tolist()
        return result

    middle = [False, True, False]
    assert flips("depth", (row, column, 0), 0.1) == middle
    assert flips("depth", (row, column, 0), 0.001) == [False] * 3
    assert flips("heatmap", (row, column, label), -0.01) == middle
    assert flips("heatmap", (row, column, label), -1e-4) == [False] * 3
    assert flips("heatmap", (row, column, label), -1.0) == middle
    # The same number of detections at the same places, but one is of another class.
    other = {key: each.copy() for key, each in maps.items()}
    other["heatmap"][1, row, column] = np.roll(maps["heatmap"][1, row, column], 1)
    assert task.flips(maps, other).tolist() == middle


def test_peaks_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    heat = rng.random((3, 7, 9, 2)).astype(np.float32).round(2)
    usable = rng.random((3, 7, 9)) > 0.1
    expected = []
    for b in range(3):
        found = []
        for y, x, c in np.ndindex(7, 9, 2):
            around = [
                heat[b, j, i, c]
                for j in range(max(y - 1, 0), min(y + 2, 7))
                for i in range(max(x - 1, 0), min(x + 2, 9))
                if usable[b, j, i]
            ]
            if usable[b, y, x] and heat[b, y, x, c] >= max(around) and heat[b, y, x, c] >= 0.5:
                found.append((-heat[b, y, x, c], (y * 9 + x) * 2 + c))
        expected += [(b, flat // 2, flat % 2, -value) for value, flat in sorted(found)]
    other = {"depth": np.where(usable, 1.0, np.nan)[..., None]}
    every = list(zip(*find_peaks(heat, other, 0.5, 1000), strict=True))
    assert every == expected
    best = list(zip(*find_peaks(heat, other, 0.5, 3), strict=True))
    assert [each[3] for each in best] == [e[3] for b in range(3) for e in [x for x in expected if x[0] == b][:3]]


def test_attributes_follow_the_speed():
    labels = ("car", "pedestrian", "bicycle", "bus", "barrier", "tram")
    label = np.repeat(np.arange(6), 2)
    velocity = np.tile([[0.1, 0.0], [0.0, -3.0]], (6, 1))
    assert attributes_by_speed(labels, label, velocity).tolist() == [7, 6, 3, 1, 5, 4, 8, 6, 0, 0, 0, 0]
