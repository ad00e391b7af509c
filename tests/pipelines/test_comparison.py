"""The table of a comparison, its warning and its gains, without a training."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig, TrainConfig
from mmkeras.core.console import Console
from mmkeras.evaluation.samples import Samples
from mmkeras.storage.files import write_json
from pipelines._stages import comparison as _comparison
from pipelines._stages.by_scene import ANSWERS, write_answers
from pipelines._stages.contract import Evaluated
from pipelines._stages.variant import SCORES
from pipelines.camera_radar import CameraRadarConfig, CompareConfig

GOOD = {"cross_attention": 0.6, "radar_as_channels": 0.3, "camera_only": 0.4, "radar_only": 0.2}
SCHEMA = Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json"


def _finish(folder: Path, variant: str) -> None:
    """Write what a finished training leaves: an output whose mean is the score, and the camera's last best epoch."""
    score = {"mAP": GOOD[variant], "NDS_front": 0.5, "velocity_error": 1 - GOOD[variant]}
    training = {"epochs": 4, "scheduled": 5, "best_epoch": 4, "late_gain": 0.1, "still_improving": False}
    training["still_improving"] = variant == "camera_only"
    folder.mkdir(parents=True, exist_ok=True)
    states = ["both", "without_radar"] if variant == "cross_attention" else ["both"]
    write_answers(folder / ANSWERS, {state: {"good": np.full(6, GOOD[variant])} for state in states})
    write_json(folder / SCORES, {"all": score, "night": {}, "training": training})


def test_every_variant_is_compared_by_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[tuple[str, int]] = []

    def trained(pipeline: str, folder: Path, jobs: Sequence[tuple[str, int]], *_: Any) -> None:
        assert pipeline == "camera_radar"
        started.extend(jobs)
        for variant, seed in jobs:
            _finish(folder / "comparison" / f"{variant}-{seed}", variant)

    def of_rows(evidence: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
        mean = weights @ evidence["good"] / weights.sum(axis=1)
        return {"mAP": mean, "velocity_error": 1 - mean}

    monkeypatch.setattr(_comparison, "run_processes", trained)
    monkeypatch.setattr(_comparison, "measure", lambda *given: _finish(given[-1], "cross_attention"))
    config = CameraRadarConfig(
        compare=CompareConfig(seeds=(0, 1), once=("radar_as_channels",)),
        train=TrainConfig(seed=0),
        evaluate=EvaluateConfig(bootstrap=20),
    )
    console = Console(file=io.StringIO(), width=200)
    samples = Samples({}, np.zeros((6, 1)), np.ones(6, np.float32), groups=np.repeat([0, 1, 2], 2))
    run: Any = SimpleNamespace(
        folder=tmp_path, task=SimpleNamespace(evidence=lambda _, outputs: outputs, of_rows=of_rows)
    )
    found = _comparison.compare(Evaluated(run, config, None, samples, console, "camera_radar"), "camera_radar")
    assert ("cross_attention", 0) not in started  # the run's own model
    assert sorted(started) == [
        ("camera_only", 0),
        ("camera_only", 1),
        ("cross_attention", 1),
        ("radar_as_channels", 0),
        ("radar_only", 0),
        ("radar_only", 1),
    ]
    assert found["gains"]["fusion_gain"]["value"] == pytest.approx(0.2)
    assert found["gains"]["radar_dead"]["value"] == pytest.approx(0.2)
    assert found["gains"]["velocity_ratio"]["value"] == pytest.approx(0.4 / 0.6)
    assert set(found["fusions"]["camera_only"]["training"]) == {"0", "1"}
    schema = json.loads(SCHEMA.read_text())
    for part in ("fusions", "night", "gains"):
        jsonschema.validate(found[part], {**schema["properties"][part], "$defs": schema["$defs"]})
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "camera_only, seed 1: the validation score was still improving when training ended" in said
    assert "radar_only, seed" not in said
    assert "fusion gain: 0.200 (95 % of the resamples of scenes: 0.200 to 0.200)" in said
    assert "A single frame cannot measure speed" in said
