"""Errors by scene, on numbers that are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.samples import Samples
from mmkeras.tasks._metrics import ratio
from pipelines._stages.by_scene import gains, read_answers, scene_draws, write_answers
from pipelines._stages.variant import training

SCENES, FRAMES = 40, 10


def _samples(frames: int = FRAMES, **columns: np.ndarray) -> Samples:
    """Samples of which ``frames`` in a row are one scene."""
    size = SCENES * FRAMES
    groups = 7 + np.arange(size) // frames
    return Samples({}, np.zeros((size, 1), np.float32), np.ones(size, np.float32), columns=columns, groups=groups)


def _task() -> Any:
    """A task whose mAP and velocity error are weighted means of an output."""

    def of_rows(evidence: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
        mean = ratio(weights @ evidence["good"], weights.sum(axis=1))
        return {"mAP": mean, "velocity_error": 1 - mean}

    return SimpleNamespace(evidence=lambda targets, outputs: outputs, of_rows=of_rows)


def test_frames_of_a_scene_are_drawn_together():
    """Where a scene's frames are all alike, the error is that of 40 samples, not of 400."""
    rng = np.random.default_rng(0)
    good = np.repeat(rng.uniform(size=SCENES), FRAMES)
    answers = {"both": {"good": good}}
    by_scene = scene_draws(_task(), _samples(), answers, Bootstrap(400))["mAP"]
    by_frame = scene_draws(_task(), _samples(frames=1), answers, Bootstrap(400))["mAP"]
    assert by_scene.shape == (401,)
    assert by_scene[0] == by_frame[0] == pytest.approx(good.mean())
    expected = good.std() / np.sqrt(SCENES)
    assert by_scene[1:].std() == pytest.approx(expected, rel=0.15)
    assert by_frame[1:].std() == pytest.approx(expected / np.sqrt(FRAMES), rel=0.15)


def test_a_gain_is_paired_and_pooled_over_the_seeds():
    rng = np.random.default_rng(0)
    scene = np.repeat(rng.uniform(0.2, 0.6, SCENES), FRAMES)
    dark = np.repeat(np.arange(SCENES) % 2, FRAMES)
    samples = _samples(time_of_day=np.where(dark, "night", "day"))

    def drawn(both: float, dead: float | None = None) -> dict[str, np.ndarray]:
        answers = {"both": {"good": scene + both}}
        if dead is not None:
            answers["without_radar"] = {"good": scene + dead}
        return scene_draws(_task(), samples, answers, Bootstrap(200))

    draws = {
        "cross_attention": {"0": drawn(0.20, -0.01), "1": drawn(0.30, -0.03)},
        "camera_only": {"0": drawn(0.0), "1": drawn(0.04)},
        "radar_only": {"0": drawn(0.1), "1": drawn(-0.1)},
    }
    found = gains(draws, 0.95)
    assert found["fusion_gain"]["per_seed"]["0"]["value"] == pytest.approx(0.10)
    assert found["fusion_gain"]["per_seed"]["1"]["value"] == pytest.approx(0.26)
    # 0.25 against the better of the means, 0.02 and 0.0. All variants differ by the same on every scene: no error.
    for end in ("value", "low", "high"):
        assert found["fusion_gain"][end] == pytest.approx(0.23)
    assert found["radar_dead"]["value"] == pytest.approx(-0.04)
    assert found["velocity_ratio"]["value"] == pytest.approx((0.75 - scene.mean()) / (0.98 - scene.mean()))
    at_night = scene[dark == 1].mean()
    assert found["night_ratio"]["value"] == pytest.approx((at_night + 0.25) / (at_night + 0.02))
    assert found["night_ratio"]["low"] < found["night_ratio"]["value"] < found["night_ratio"]["high"]
    del draws["radar_only"]
    assert set(gains(draws, 0.95)) == {"radar_dead", "velocity_ratio", "night_ratio"}


def test_answers_come_back_as_they_were_written(tmp_path: Path):
    answers = {"both": {"heatmap": np.arange(6.0).reshape(2, 3)}, "without_radar": {"heatmap": np.zeros((2, 3))}}
    write_answers(tmp_path / "answers.npz", answers)
    back = read_answers(tmp_path / "answers.npz")
    assert back.keys() == answers.keys()
    for state, outputs in answers.items():
        np.testing.assert_array_equal(back[state]["heatmap"], outputs["heatmap"])


@pytest.mark.parametrize(
    ("scores", "gain", "still"),
    [
        ([0.1, 0.2, 0.3, 0.29], 0.0, False),
        ([0.1, 0.2, 0.3, 0.31], 0.01, False),
        ([0.1, 0.2, 0.3, 0.4], 0.1, True),
        ([None, None, None, 0.4], None, True),
        ([0.1], None, True),
    ],
)
def test_a_score_that_still_rose_at_the_end_is_reported(
    tmp_path: Path, scores: list[float | None], gain: float | None, still: bool
):
    checkpoint = tmp_path / "checkpoints" / "step-00000040"
    checkpoint.mkdir(parents=True)
    history = [{"loss": 1.0} if score is None else {"loss": 1.0, "val_mAP": score} for score in scores]
    (checkpoint / "state.json").write_text(json.dumps({"history": history, "best_epoch": 3}))
    task: Any = SimpleNamespace(metric="mAP", metric_sign=1)
    told = training(tmp_path, task, 5)
    assert told == {
        "epochs": len(scores),
        "scheduled": 5,
        "best_epoch": 3,
        "late_gain": pytest.approx(gain),
        "still_improving": still,
    }
