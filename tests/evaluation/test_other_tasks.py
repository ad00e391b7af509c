"""The whole report of tasks with targets and outputs of other kinds: a mask, tags of words, two targets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig
from mmkeras.evaluation import Samples, evaluate
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._targets import as_rows
from mmkeras.tasks.segmentation.spec import Config as Segmentation
from mmkeras.tasks.tags.counts import NO_TAG
from mmkeras.tasks.tags.spec import Spec as Tags
from tests.evaluation.problems import specs
from tests.toys import components
from tests.toys.tasks.two_targets.spec import Spec as TwoTargets

SAMPLES = 60
TASKS: dict[str, TaskSpec] = {
    "segmentation": Segmentation(("road", "car", "sky"), size=(4, 6)).spec(),
    "tags": Tags(("date", "total"), "IO", "left", 5),
    "two_targets": TwoTargets(("a", "b", "c")),
}


def _targets(task: TaskSpec, rng: np.random.Generator) -> np.ndarray:
    values = {}
    for spec in task.targets:
        drawn = rng.integers(0, 3, (SAMPLES, *spec.shape)) if spec.dtype != "float32" else rng.normal(size=(SAMPLES, 2))
        values[spec.name] = drawn.astype(spec.dtype)
    if task.kind == "tags":
        values["tags"][:, 3:] = NO_TAG
    return as_rows(task.targets, values, SAMPLES)


def _samples(task: TaskSpec) -> Samples:
    rng = np.random.default_rng(0)
    present = np.ones(SAMPLES, np.float32)
    return Samples(
        inputs={
            f"{name}_{part}": present[:, None] if part == "value" else present
            for name in ("left", "right")
            for part in ("value", "present")
        },
        targets=_targets(task, rng),
        weights=rng.uniform(0.5, 2, SAMPLES).astype(np.float32),
        columns={"site": np.where(np.arange(SAMPLES) % 3, "a", "b")},
        raw=({"left": None, "right": None},) * SAMPLES,
        groups=np.arange(SAMPLES) // 2,
    )


@pytest.fixture
def _toys() -> Iterator[None]:
    with components("tasks"):
        yield


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize("kind", TASKS)
def test_every_task_goes_through_the_whole_report(kind: str, tmp_path: Path) -> None:
    task = TASKS[kind]
    rng = np.random.default_rng(1)

    def model(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        size = len(inputs["left_value"])
        return {each.name: rng.random((size, *each.shape), np.float32) for each in task.outputs}

    config = EvaluateConfig(batch_size=16, bootstrap=30)
    metrics = evaluate(model, _samples(task), specs("left", "right"), task, config, tmp_path)
    schema = Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json"
    jsonschema.validate(
        json.loads((tmp_path / "metrics.json").read_text("utf-8")), json.loads(schema.read_text("utf-8"))
    )
    assert metrics["intervals"]["slow_metrics"] == []
    assert metrics["test"][task.metric]["low"] < metrics["test"][task.metric]["value"]
    assert (metrics["calibration"], metrics["confusion"]) == (None, None)
    by_class = {"segmentation": {"road", "car", "sky"}, "tags": {"date", "total"}}
    assert set(metrics["per_class"]) == by_class.get(kind, set())
    assert metrics["errors"][0]["wrongness"] >= metrics["errors"][-1]["wrongness"]
    assert (tmp_path / "report.html").is_file()


def test_a_mask_is_scored_by_its_pixels() -> None:
    task = TASKS["segmentation"]
    rng = np.random.default_rng(0)
    targets, outputs = rng.integers(0, 3, (5, 4, 6)).astype(np.uint8), {"mask": rng.random((5, 4, 6, 3))}
    weights, said = np.array([1.0, 2.0, 0.0, 1.0, 3.0]), outputs["mask"].argmax(-1)
    pixels = np.broadcast_to(weights[:, None, None], said.shape)
    union = [pixels[(said == i) | (targets == i)].sum() for i in range(3)]
    expected = [pixels[(said == i) & (targets == i)].sum() / union[i] for i in range(3)]
    score = task.score(targets, outputs, weights)
    assert [score[f"iou_{name}"] for name in ("road", "car", "sky")] == pytest.approx(expected)
    assert score["mean_iou"] == pytest.approx(np.mean(expected))
    assert score["pixel_accuracy"] == pytest.approx(np.average(said == targets, weights=pixels))
