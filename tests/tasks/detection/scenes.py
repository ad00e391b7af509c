"""Random drives as the metric sees them: truth and detections of a few samples, in all the ways they can be odd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.classes import ATTRIBUTES, CLASS_RANGE

CLASSES = tuple(CLASS_RANGE)
KINDS = (
    "plain",
    "no detections",
    "no truth",
    "nothing",
    "ties",
    "all beyond range",
    "nan velocities",
    "no attributes",
    "low recall",
    "no points",
    "one class",
    "grid",
    "zero scores",
    "perfect",
    "far off",
)


@dataclass(frozen=True)
class Scene:
    truth: Boxes
    found: Boxes
    samples: int


def boxes(rng: np.random.Generator, count: int, samples: int, classes: np.ndarray, spread: float) -> Boxes:
    return Boxes(
        sample=np.sort(rng.integers(0, samples, count)),
        label=rng.choice(classes, count),
        score=rng.random(count),
        centre=np.column_stack([rng.uniform(-spread, spread, (count, 2)), rng.normal(size=count)]),
        size=rng.uniform(0.3, 5, (count, 3)),
        yaw=rng.uniform(-math.pi, math.pi, count),
        velocity=rng.normal(size=(count, 2)) * 5,
        attribute=rng.integers(1, len(ATTRIBUTES), count),
        points=rng.integers(1, 9, count),
        box=np.zeros((count, 4)),
    )


def changed(each: Boxes, **values: np.ndarray) -> Boxes:
    return Boxes(**(vars(each) | values))


def scene(kind: str, seed: int) -> Scene:
    """Return a scene; the detections lie around the truth, some twice, and some are made up."""
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 8))
    classes = rng.choice(10, 1 if kind == "one class" else rng.integers(1, 11), replace=False)
    spread = 20.0 if kind != "all beyond range" else 4000.0
    truth = boxes(rng, 0 if kind in ("no truth", "nothing") else int(rng.integers(1, 120)), samples, classes, spread)
    near = truth.take(np.sort(rng.choice(len(truth), int(1.2 * len(truth))))) if len(truth) else truth
    near = changed(
        near,
        score=rng.random(len(near)),
        centre=near.centre + rng.normal(size=near.centre.shape) * rng.choice([0.1, 0.7, 3.0]),
        size=near.size * rng.uniform(0.7, 1.4, near.size.shape),
        yaw=near.yaw + rng.normal(size=len(near)) * rng.choice([0.1, 1.5]),
        velocity=near.velocity + rng.normal(size=near.velocity.shape),
        attribute=np.where(rng.random(len(near)) < 0.7, near.attribute, rng.integers(0, len(ATTRIBUTES), len(near))),
    )
    found = Boxes.joined([near, boxes(rng, int(rng.integers(0, 60)), samples, classes, spread)])
    if kind in ("no detections", "nothing"):
        found = found.take(np.zeros(len(found), bool))
    if kind == "low recall":
        found = found.take(np.sort(rng.choice(len(found), min(len(found), 4), replace=False)))
    if kind == "ties":
        found = changed(found, score=found.score.round(1))
    if kind == "zero scores":
        found = changed(found, score=np.where(rng.random(len(found)) < 0.5, 0.0, found.score))
    if kind == "nan velocities":
        lost = [rng.random(len(each)) < rng.choice([0.3, 1.0]) for each in (truth, found)]
        truth = changed(truth, velocity=np.where(lost[0][:, None], np.nan, truth.velocity))
        found = changed(found, velocity=np.where(lost[1][:, None], np.nan, found.velocity))
    if kind == "no attributes":
        truth = changed(truth, attribute=np.where(rng.random(len(truth)) < rng.choice([0.5, 1.0]), 0, truth.attribute))
    if kind == "no points":
        truth = changed(truth, points=rng.integers(0, 2, len(truth)) * rng.integers(0, 2))
    if kind == "grid":  # distances that equal a limit, and equal distances
        truth = changed(truth, centre=np.round(truth.centre))
        found = changed(found, centre=np.round(found.centre * 2) / 2)
    if kind == "perfect":
        found = changed(truth, score=rng.random(len(truth)))
    if kind == "far off":
        found = changed(found, centre=found.centre + 10.0)
    order = np.argsort(found.sample, kind="stable")
    return Scene(truth, changed(found.take(order), points=np.full(len(found), -1)), samples)


def oracle(kit: SimpleNamespace, each: Scene, counts: np.ndarray | None = None) -> dict[str, Any]:
    """Return what nuscenes-devkit says of a scene, in which a sample stands as often as the counts say."""
    counts = np.ones(each.samples, np.int64) if counts is None else counts
    config = kit.detection.DetectionConfig(
        {name: int(limit) for name, limit in CLASS_RANGE.items()},
        "center_distance",
        [0.5, 1.0, 2.0, 4.0],
        2.0,
        0.1,
        0.1,
        500,
        5,
    )
    truth, found = (_eval_boxes(kit, side, counts) for side in (each.truth, each.found))
    nothing = SimpleNamespace(get=lambda table, token: {"anns": []})
    for side in (truth, found):
        if side.all:  # the devkit's filter refuses a drive without a box
            kit.loaders.filter_eval_boxes(nothing, side, config.class_range)
    metrics = kit.detection.DetectionMetrics(config)
    for name in config.class_names:
        for limit in config.dist_ths:
            data = kit.algo.accumulate(truth, found, name, config.dist_fcn_callable, limit)
            metrics.add_label_ap(name, limit, kit.algo.calc_ap(data, config.min_recall, config.min_precision))
            if limit != config.dist_th_tp:
                continue
            for error in ("trans_err", "vel_err", "scale_err", "orient_err", "attr_err"):
                # As nuscenes.eval.detection.evaluate has it, which cannot be called without a data set.
                cone = name == "traffic_cone" and error in ("attr_err", "vel_err", "orient_err")
                barrier = name == "barrier" and error in ("attr_err", "vel_err")
                value = np.nan if cone or barrier else kit.algo.calc_tp(data, config.min_recall, error)
                metrics.add_label_tp(name, error, value)
    result: dict[str, Any] = metrics.serialize()
    return result


def _eval_boxes(kit: SimpleNamespace, side: Boxes, counts: np.ndarray) -> Any:
    result = kit.common.EvalBoxes()
    for sample, count in enumerate(counts):
        for copy in range(count):
            token = f"{sample}-{copy}"
            rows = np.flatnonzero(side.sample == sample)
            result.add_boxes(token, [_eval_box(kit, side, int(row), token) for row in rows])
    return result


def _eval_box(kit: SimpleNamespace, side: Boxes, row: int, token: str) -> Any:
    centre = tuple(side.centre[row].tolist())
    return kit.detection.DetectionBox(
        sample_token=token,
        translation=centre,
        ego_translation=centre,
        size=tuple(side.size[row].tolist()),
        rotation=(math.cos(side.yaw[row] / 2), 0.0, 0.0, math.sin(side.yaw[row] / 2)),
        velocity=tuple(side.velocity[row].tolist()),
        num_pts=int(side.points[row]),
        detection_name=CLASSES[side.label[row]],
        detection_score=float(side.score[row]),
        attribute_name=ATTRIBUTES[side.attribute[row]],
    )
