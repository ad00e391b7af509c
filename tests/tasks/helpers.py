"""One small example of every task, and a head as a model of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from mmkeras.components import find
from mmkeras.tokens import Fused

WIDTH = 8


@dataclass(frozen=True)
class Example:
    """What a task's shared tests need to know."""

    options: dict[str, Any]
    """Options of its Config, complete."""
    targets: list[Any]
    """Raw targets as a dataset writes them."""
    bad_targets: list[Any]
    """Targets that must be refused."""
    bad_options: list[dict[str, Any]]
    """Options that must be refused."""
    counts: dict[str, int] = field(default_factory=dict)
    """Training samples by label."""


LABELS = ["no", "red", "yes"]
SHARED_BAD: list[dict[str, Any]] = [{"dropout": 1.0}, {"dropout": -0.1}]
LABEL_BAD: list[dict[str, Any]] = [
    *SHARED_BAD,
    {"label_smoothing": 1.0},
    {"focal_gamma": -1.0},
    {"focal_gamma": 0.5},
    {"class_weights": {"yse": 2.0}},
    {"class_weights": {"yes": -1.0}},
    {"class_weights": {"yes": float("nan")}},
    {"class_weights": "balance"},
    {"labels": ["no", "no"]},
    {"labels": ["no", ""]},
    {"labels": "yes"},
]

EXAMPLES = {
    "classification": Example(
        options={"labels": LABELS},
        targets=["yes", "no", "red", "yes"],
        bad_targets=["blue", "", None, 1.5, ["yes"], {"yes": 1}],
        bad_options=[*LABEL_BAD, {"label_smoothing": 0.1, "focal_gamma": 2.0}],
        counts={"no": 1, "red": 2, "yes": 5},
    ),
    "multilabel": Example(
        options={"labels": LABELS, "thresholds": {"red": 0.3}},
        targets=[["yes", "red"], [], "no", ("no", "red", "yes")],
        bad_targets=[["blue"], [None], None, 1.5, {"yes": 1}, [["yes"]]],
        bad_options=[*LABEL_BAD, {"thresholds": 0.0}, {"thresholds": 1.0}, {"thresholds": {"rde": 0.5}}],
        counts={"no": 1, "red": 2, "yes": 5},
    ),
    "regression": Example(
        options={"names": ["distance", "speed"], "units": ["m", "m/s"], "mean": [50.0, 2.0], "std": [10.0, 0.5]},
        targets=[[1, 2.5], ("3", "-4e1"), {"speed": 1, "distance": 7}, np.array([5, 6])],
        bad_targets=[
            1.0,
            [1, 2, 3],
            [1, None],
            [1, "far"],
            [1, float("nan")],
            [1, 1e39],
            [True, 1],
            {"speed": 1},
            None,
        ],
        bad_options=[
            *SHARED_BAD,
            {"names": []},
            {"units": ["m"]},
            {"std": []},
            {"std": [1.0, 0.0]},
            {"mean": [1.0, float("nan")]},
            {"loss": "mape"},
            {"tolerance": 0.0},
        ],
    ),
}


def task(name: str, **options: Any) -> tuple[Any, Any]:
    """Return a task's spec and configuration."""
    config = find("tasks", name, "spec").Config(**EXAMPLES[name].options | options)
    return config.spec(), config


def head_model(name: str, **options: Any) -> keras.Model:
    """Return a task's head as a compiled model from ``pooled`` (B, D) to its outputs."""
    spec, config = task(name, **options)
    head = find("tasks", name, "head")
    pooled = keras.Input((WIDTH,), name="pooled")
    model = keras.Model({"pooled": pooled}, head.build(Fused(None, None, pooled), spec, config))
    losses, metrics = head.losses(spec, config, EXAMPLES[name].counts), head.metrics(spec)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=losses, weighted_metrics=metrics)
    return model


def batch(name: str, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return inputs and encoded targets of the example's samples."""
    spec, _ = task(name)
    pooled = np.random.default_rng(seed).normal(size=(len(EXAMPLES[name].targets), WIDTH)).astype("float32")
    targets = np.stack([spec.encode(target) for target in EXAMPLES[name].targets])
    return {"pooled": pooled}, {spec.outputs[0].name: targets}


def call(model: keras.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the model's outputs as numpy arrays."""
    return {name: keras.ops.convert_to_numpy(value) for name, value in model(inputs, training=False).items()}
