from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import DependencyError
from mmkeras.tasks.detection import coco_metric
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.coco_metric import coco_match, coco_precision
from tests.tasks.detection.scenes import changed, scene

CLASSES = 10


def flat_scene(seed: int) -> tuple[Boxes, Boxes, int]:
    """Return truth and detections with 2D boxes."""
    rng = np.random.default_rng(seed)
    each = scene("plain", seed)
    corner, size = rng.uniform(0, 80, (len(each.truth), 2)), rng.uniform(5, 40, (len(each.truth), 2))
    truth = changed(each.truth, box=np.concatenate([corner, corner + size], axis=1))
    near = truth.take(np.sort(rng.choice(len(truth), len(truth))))
    moved = near.box + rng.normal(size=near.box.shape) * rng.choice([0.5, 3.0])
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    return truth, changed(near, box=moved, score=rng.random(len(near))), each.samples


def copies(boxes: Boxes, counts: np.ndarray) -> Boxes:
    """Return the boxes of a drive in which a sample stands as often as the counts say."""
    starts = np.cumsum(counts) - counts
    parts = []
    for sample, count in enumerate(counts):
        rows = boxes.take(boxes.sample == sample)
        parts += [changed(rows, sample=np.full(len(rows), starts[sample] + copy)) for copy in range(count)]
    return Boxes.joined(parts)


def oracle(truth: Boxes, found: Boxes, samples: int) -> np.ndarray:
    evaluation: Any = coco_metric._evaluated(truth, found, CLASSES, samples)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0].mean(axis=1).T
    return np.where(precision < 0, np.nan, precision)


@pytest.mark.parametrize("seed", range(10))
def test_equals_pycocotools(seed: int):
    pytest.importorskip("pycocotools")
    truth, found, samples = flat_scene(seed)
    precision = coco_precision(coco_match(truth, found, CLASSES, samples))
    np.testing.assert_allclose(precision, oracle(truth, found, samples), atol=1e-9)
    assert np.nanmean(precision) > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_whole_weights_are_copies_of_samples(seed: int):
    pytest.importorskip("pycocotools")
    truth, found, samples = flat_scene(seed)
    counts = np.random.default_rng(seed).integers(0, 3, samples)
    counts[0] = 2
    matches = coco_match(truth, found, CLASSES, samples)
    expected = oracle(copies(truth, counts), copies(found, counts), int(counts.sum()))
    np.testing.assert_allclose(coco_precision(matches, counts), expected, atol=1e-9)
    nearly = coco_precision(matches, np.full(samples, 1 + 1e-12))
    np.testing.assert_allclose(nearly, coco_precision(matches), atol=1e-9)


def test_nothing_found_and_nothing_there():
    pytest.importorskip("pycocotools")
    truth, found, samples = flat_scene(1)
    nothing = np.zeros(0, np.int64)
    none = coco_precision(coco_match(truth, found.take(nothing), CLASSES, samples))
    assert set(none[~np.isnan(none)]) == {0.0}
    assert np.isnan(coco_precision(coco_match(truth.take(nothing), found, CLASSES, samples))).all()


def test_without_pycocotools(monkeypatch: pytest.MonkeyPatch):
    def absent(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name="pycocotools")

    monkeypatch.setattr("importlib.import_module", absent)
    truth, found, samples = flat_scene(0)
    with pytest.raises(DependencyError, match=r"pip install 'mmkeras\[train\]'"):
        coco_match(truth, found, CLASSES, samples)
