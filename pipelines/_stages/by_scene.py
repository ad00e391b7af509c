"""Differences between the variants of a comparison, with errors by scene.

Frames of one scene resemble each other, so whole scenes are resampled. Every variant and every seed is scored on the
same resamples, so that the differences are paired.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.storage.files import write_bytes

if TYPE_CHECKING:
    from mmkeras.evaluation.samples import Samples
    from mmkeras.tasks import TaskSpec

__all__ = [
    "ANSWERS",
    "COMPARED",
    "EVIDENCE",
    "STATES",
    "gains",
    "night",
    "read_answers",
    "scene_draws",
    "write_answers",
]

ANSWERS = "answers.npz"
"""File beside a variant's scores: its outputs on the test split as ``<state>/<output>``."""
EVIDENCE = "evidence.npz"
"""The same with the task's evidence in place of the outputs, which may be large maps."""
STATES = ("both", "without_radar")
"""States of the sensors that `gains` compares."""
Draws = dict[str, np.ndarray]
"""Metrics (R + 1,) by name: the value on the samples themselves, then on every resample."""


def write_answers(path: Path, answers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write outputs (N, ...) by state of the sensors (``both``, ``without_<modality>``) and name, never half."""
    flat = {f"{state}/{name}": value for state, outputs in answers.items() for name, value in outputs.items()}
    stream = io.BytesIO()
    # Without allow_pickle=False, which numpy 1.26 would store as one more array.
    np.savez_compressed(stream, **flat)  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())


def read_answers(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read outputs that `write_answers` wrote."""
    answers: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            state, _, name = key.partition("/")
            answers.setdefault(state, {})[name] = file[key]
    return answers


def night(samples: Samples) -> np.ndarray:
    """Return bool (N,): whether each sample was recorded at night."""
    result: np.ndarray = np.asarray(samples.columns.get("time_of_day", np.full(len(samples), ""))) == "night"
    return result


def scene_draws(
    task: TaskSpec, samples: Samples, answers: Mapping[str, Mapping[str, np.ndarray]], bootstrap: Bootstrap
) -> Draws:
    """Score one variant on the test split and on every resample of its scenes.

    Args:
        task: computes the metrics.
        samples: the test split; the group of a sample is its scene.
        answers: outputs by state of the sensors, see `write_answers`; only `STATES` are scored.
        bootstrap: number and seed of the resamples.

    Returns:
        ``mAP``, ``velocity_error`` and ``mAP_night``; ``mAP_without_radar`` of a fusion.
    """
    number = np.unique(samples.groups, return_inverse=True)[1]
    counts = np.concatenate([np.ones((1, number.max() + 1)), *bootstrap.counts(int(number.max()) + 1)])
    weights = counts[:, number] * samples.weights
    result: Draws = {}
    for state in (each for each in STATES if each in answers):
        evidence = task.evidence(samples.targets, answers[state])
        found = task.of_rows(evidence, weights)
        result["mAP" if state == "both" else f"mAP_{state}"] = found["mAP"]
        if state == "both":
            result["velocity_error"] = found["velocity_error"]
            dark = night(samples)
            if dark.any():
                # The mAP of a resample without a scene at night is NaN.
                result["mAP_night"] = task.of_rows(evidence, weights * dark)["mAP"]
    return result


def gains(draws: Mapping[str, Mapping[str, Draws]], confidence: float) -> dict[str, Any]:
    """Return the gains of the fusion over single sensors, per seed and pooled, with intervals by scene.

    Pooled: each variant's mean over the seeds that all variants have. The better single sensor is chosen again in every
    resample, which can only make the gain smaller.

    Args:
        draws: variant -> seed -> from `scene_draws` with the same resamples.
        confidence: coverage of the intervals.

    Returns:
        ``fusion_gain`` (mAP of cross_attention minus that of the better of camera_only and radar_only), ``radar_dead``
        (mAP of cross_attention without the radar minus camera_only), ``velocity_ratio`` and ``night_ratio`` (to
        camera_only), each ``{"value", "low", "high", "per_seed"}``; a gain whose variants are missing is left out.
    """
    result: dict[str, Any] = {}
    for name, (needed, formula) in _GAINS.items():
        if not all(variant in draws for variant in needed):
            continue
        seeds = [seed for seed in draws[needed[0]] if all(seed in draws[variant] for variant in needed)]
        singles = {seed: [draws[variant][seed] for variant in needed] for seed in seeds}
        if not seeds:
            continue
        pooled = [_mean([draws[variant][seed] for seed in seeds]) for variant in needed]
        try:
            result[name] = {
                **_interval(formula(*pooled), confidence),
                "per_seed": {seed: _interval(formula(*each), confidence) for seed, each in singles.items()},
            }
        except KeyError:  # no sample at night, or a fusion of one sensor
            continue
    return result


def _mean(several: Sequence[Draws]) -> Draws:
    return {name: np.mean([each[name] for each in several], axis=0) for name in several[0]}


def _interval(draws: np.ndarray, confidence: float) -> dict[str, float | None]:
    tail = (1 - confidence) / 2
    finite = draws[1:][np.isfinite(draws[1:])]
    low, high = np.quantile(finite, [tail, 1 - tail]) if finite.size else (np.nan, np.nan)
    numbers = {"value": draws[0], "low": low, "high": high}
    return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


_PAIR = ("cross_attention", "camera_only")
_GAINS: dict[str, tuple[tuple[str, ...], Any]] = {
    "fusion_gain": (
        ("cross_attention", "camera_only", "radar_only"),
        lambda both, camera, radar: both["mAP"] - np.maximum(camera["mAP"], radar["mAP"]),
    ),
    "radar_dead": (_PAIR, lambda both, camera: both["mAP_without_radar"] - camera["mAP"]),
    "velocity_ratio": (_PAIR, lambda both, camera: _ratio(both["velocity_error"], camera["velocity_error"])),
    "night_ratio": (_PAIR, lambda both, camera: _ratio(both["mAP_night"], camera["mAP_night"])),
}
COMPARED = tuple(dict.fromkeys(variant for needed, _ in _GAINS.values() for variant in needed))
"""Variants that `gains` needs."""
