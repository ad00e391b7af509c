"""One small example of every task, and a head as a model of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from mmkeras.core.components import find
from mmkeras.layers.tokens import Encoded, Fused, Tokens
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.training.objective import Objective
from tests.tasks.segmentation.scenes import png

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
    unknown: tuple[str, ...] = ()
    """Numbers of the score that are NaN as long as a model finds nothing."""
    learning_rate: float = 0.1
    """Of plain SGD, so that the loss falls in a few steps."""
    grid: tuple[int, int] | None = None
    """Rows and columns of the map that the head reads, where the spec does not say."""
    modalities: dict[str, Any] = field(default_factory=dict)
    """Specs by modality that the spec of the task derives from."""


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


def _box(name: str, x: float, y: float, **others: Any) -> dict[str, Any]:
    return {"name": name, "centre": [x, y, 0.8], "size": [1.8, 4.0, 1.6], "yaw": 0.3, "velocity": [5.0, 0.0], **others}


def _frame(*boxes: Any) -> dict[str, Any]:
    return {"boxes": list(boxes), "camera": [1.7, 0.0, 1.5, 0.5, -0.5, 0.5, -0.5]}


def _mask(seed: int) -> np.ndarray:
    """Return a mask of three classes with some pixels of none."""
    mask = np.random.default_rng(seed).integers(0, 3, (6, 10)).astype(np.uint8)
    mask[0, :3] = 255
    return mask


EXAMPLES = {
    "classification": Example(
        options={"labels": LABELS},
        targets=["yes", "no", "red", "yes"],
        bad_targets=["blue", "", None, 1.5, ["yes"], {"yes": 1}],
        bad_options=[*LABEL_BAD, {"label_smoothing": 0.1, "focal_gamma": 2.0}],
        counts={"no": 1, "red": 2, "yes": 5},
    ),
    "detection": Example(
        options={"labels": ["car", "pedestrian"], "camera": [64.0, 32.0, 40.0, 32.0, 12.0], "max_objects": 4},
        targets=[
            _frame(_box("car", 12.0, 1.0), _box("pedestrian", 9.0, -3.0, radar_points=0, lidar_points=2)),
            _frame(),
            _frame(_box("pedestrian", 20.0, 4.0, velocity=None)),
            {"boxes": [_box("car", 8.0, 0.0, attribute="vehicle.moving"), _box("car", 30.0, 2.0)]},
        ],
        bad_targets=[
            None,
            "car",
            [],
            _frame({"name": "car"}),
            _frame(_box("tram", 9.0, 0.0)),
            _frame(_box("car", float("nan"), 0.0)),
            _frame(_box("car", 9.0, 0.0, size=[0.0, 1.0, 1.0])),
            {"boxes": [], "camera": [0.0] * 7},
        ],
        bad_options=[
            *SHARED_BAD,
            {"labels": []},
            {"labels": ["car", "car"]},
            {"camera": []},
            {"camera_pose": [0.0] * 7},
            {"stride": 0},
            {"max_objects": 0},
            {"score_threshold": 1.0},
            {"depth_weight": -1.0},
            {"channels": 0},
        ],
        unknown=("velocity_error",),
        learning_rate=0.01,
    ),
    "embedding": Example(
        options={"size": 3},
        targets=[[1, 0, 0], ("0", "2e0", "-1"), np.array([0.5, 0.5, 0.5]), [0, 0, -1]],
        bad_targets=[None, 1.0, "1 0 0", [1, 2], [1, 2, "x"], [1, 2, float("nan")], [0, 0, 0], [1, 2, 1e39], {"a": 1}],
        bad_options=[*SHARED_BAD, {"size": 0}, {"tolerance": 0.0}, {"tolerance": 2.0}],
        learning_rate=0.5,
    ),
    "matching": Example(
        options={"towers": ["image", "text"], "size": 3, "pairs": 1},
        targets=["a", 7, {"pair": "b", "image": "b.png", "text": "a dog"}, "c"],
        bad_targets=[None, "", 1.5, True, ["a"], {"pair": "b"}, {"pair": "b", "image": "", "text": "c"}],
        bad_options=[
            *SHARED_BAD,
            {"towers": ["image"]},
            {"towers": ["text", "text"]},
            {"size": 1},
            {"loss": "triplet"},
            {"temperature": 0.0},
            {"label_smoothing": 1.0},
            {"mmd": -1.0},
            {"mmd_kernel": "linear"},
            {"pairs": -1},
            {"hard_negatives": 0},
            {"pair_weight": float("nan")},
        ],
        learning_rate=0.05,
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
    "segmentation": Example(
        options={"labels": ["sky", "road", "car"], "size": [6, 10], "focal_gamma": 2.0, "dice_weight": 0.5},
        targets=[_mask(0), {"mask": _mask(1)}, _mask(2), _mask(3)],
        bad_targets=[
            None,
            1.5,
            {"picture": "a.png"},
            b"no picture",
            "missing.png",
            _mask(0) + 3,
            np.zeros((6, 10, 3), np.uint8),
            {"mask": _mask(0), "picture": png(np.zeros((6, 9, 3), np.uint8))},
            png(np.zeros((6, 10, 3), np.uint8)),
        ],
        bad_options=[
            *SHARED_BAD,
            {"labels": ["sky"]},
            {"labels": ["sky", "sky"]},
            {"colours": ["#000000"]},
            {"colours": ["#000000", "#ff0000", "red"]},
            {"colours": ["#000000", "#ff0000", "#ff0000"]},
            {"void": [1]},
            {"size": []},
            {"size": [6]},
            {"balance": -1.0},
            {"dice_weight": float("nan")},
            {"focal_gamma": 0.5},
            {"least_share": 1.0},
            {"channels": 0},
            {"pixel_shares": [0.5, 0.5]},
        ],
        grid=(3, 5),
    ),
    "tags": Example(
        options={"labels": LABELS, "scheme": "BIO"},
        targets=["B-yes I-yes O", ["B-no", None], "I-red O O O", ("O", "B-red", "B-red", "I-red")],
        bad_targets=["B-blue", "", None, 1.5, [], {"yes": 1}, ["yes"]],
        bad_options=[*SHARED_BAD, {"label_smoothing": 1.0}, {"scheme": "BILOU"}, {"labels": ["no", "no"]}]
        + [{"class_weights": each} for each in ({"yse": 2.0}, {"yes": -1.0}, "balance")],
        counts={"O": 4, "no": 1, "red": 4, "yes": 2},
        modalities={"text": TextConfig(max_length=6, pooling="words").spec_before_data("text")},
    ),
}


def task(name: str, **options: Any) -> tuple[Any, Any]:
    """Return a task's spec and configuration."""
    config = find("tasks", name, "spec").Config(**EXAMPLES[name].options | options)
    return config.spec(EXAMPLES[name].modalities), config


def head_model(name: str, **options: Any) -> keras.Model:
    """Return a task's head as a compiled model from what it reads of the fusion to its outputs.

    That is ``pooled`` (B, D), or for a task that asks every cell of a map, or every word, ``tokens`` (B, N, D). A task
    with towers gets the halves of a vector (B, 2, D / 2) as tokens of both.
    """
    spec, config = task(name, **options)
    head = find("tasks", name, "head")
    modalities: dict[str, Tokens] = {}
    fused = None
    if towers := getattr(spec, "towers", ()):
        present = {f"{tower}_present": keras.Input((), name=f"{tower}_present") for tower in towers}
        given = {"pooled": keras.Input((WIDTH,), name="pooled"), **present}
        mask = keras.ops.ones_like(given["pooled"][:, :2], dtype="int32")
        for tower, half in zip(towers, keras.ops.split(given["pooled"], 2, axis=-1), strict=True):
            shown = half * given[f"{tower}_present"][:, None]
            modalities[tower] = Tokens(keras.ops.reshape(shown, (-1, 1, WIDTH // 2)) + keras.ops.zeros((1, 2, 1)), mask)
    elif words := getattr(spec, "words", 0):
        given = {"tokens": keras.Input((words, WIDTH), name="tokens")}
        modalities["text"] = Tokens(given["tokens"], keras.ops.ones_like(given["tokens"][:, :, 0], dtype="int32"))
    elif grid := _grid(name, spec):
        given = {"tokens": keras.Input((math.prod(grid), WIDTH), name="tokens")}
        fused = Fused(None, Tokens(given["tokens"], None, grid=grid))
    else:
        given = {"pooled": keras.Input((WIDTH,), name="pooled")}
        fused = Fused(given["pooled"])
    model = keras.Model(given, head.build(Encoded(modalities, fused), spec, config))
    optimizer = keras.optimizers.SGD(EXAMPLES[name].learning_rate)
    losses = head.losses(spec, config, EXAMPLES[name].counts)
    model.compile(optimizer=optimizer, loss=None if callable(losses) else losses, jit_compile=False)
    return with_loss(model, name, **options)


def with_loss(model: keras.Model, name: str, **options: Any) -> keras.Model:
    """Return a compiled model with the loss hook of its task, which is in no saved file; others are unchanged."""
    spec, config = task(name, **options)
    losses = find("tasks", name, "head").losses(spec, config, EXAMPLES[name].counts)
    if callable(losses):
        Objective(model, losses, EXAMPLES[name].counts, None)
    return model


def _grid(name: str, spec: Any) -> tuple[int, int] | None:
    return EXAMPLES[name].grid or getattr(spec, "cells", None)


def batch(name: str, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return inputs and encoded targets, for each output, of the example's samples."""
    spec, _ = task(name)
    grid = _grid(name, spec)
    shape = (math.prod(grid), WIDTH) if grid else (WIDTH,)
    shape = (spec.words, WIDTH) if hasattr(spec, "words") else shape
    values = np.random.default_rng(seed).normal(size=(len(EXAMPLES[name].targets), *shape)).astype("float32")
    targets = np.stack([spec.encode(target) for target in EXAMPLES[name].targets])
    given = {"tokens" if len(shape) == 2 else "pooled": values}
    given |= {f"{tower}_present": np.ones(len(values), np.float32) for tower in getattr(spec, "towers", ())}
    return given, {output.name: targets for output in spec.outputs}


def call(model: keras.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the model's outputs as numpy arrays."""
    return {name: keras.ops.convert_to_numpy(value) for name, value in model(inputs, training=False).items()}
