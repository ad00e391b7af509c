"""The losses of detection maps, held to plain loops and to perfect maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.layers.tokens import Encoded, Fused, Tokens
from mmkeras.tasks.detection.losses import HeatmapLoss, MapLoss
from mmkeras.tasks.detection.peaks import MAPS
from mmkeras.tasks.detection.spec import Config
from tests.tasks.detection.maps import perfect_maps, random_boxes, spec

pytestmark = pytest.mark.tfio

CAMERA = (128.0, 64.0, 90.0, 64.0, 24.0)
TASK = spec(camera=CAMERA, max_objects=10)
ROWS, COLUMNS = TASK.cells


def _targets(samples: int = 4, seed: int = 0, **changes: Any) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = [random_boxes(rng, int(rng.integers(3, 12))) for _ in range(samples)]
    return np.stack([TASK.encode({"boxes": [box | changes for box in boxes]}) for boxes in frames])


def _random_maps(samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return maps in the ranges that a head gives."""
    rng = np.random.default_rng(seed)
    maps = {each.name: rng.normal(size=(samples, *each.shape)) for each in TASK.outputs}
    maps["heatmap"] = 1 / (1 + np.exp(-maps["heatmap"]))
    for name, scale in (("box", 8.0), ("depth", 20.0), ("size", 2.0)):
        maps[name] = scale * np.exp(0.5 * maps[name])
    return {name: value.astype(np.float32) for name, value in maps.items()}


def _own_cells(targets: np.ndarray, around: int = 0) -> np.ndarray:
    """Return the targets without the objects whose cell, or one so many cells around it, a nearer one has."""
    result = targets.copy()
    for target in result:
        taken: list[np.ndarray] = []
        for row in target[:-1]:
            if not row[0]:
                continue
            place = np.array(_place(row)[:2])
            if any(np.abs(place - other).max() <= around for other in taken):
                row[:] = 0
            else:
                taken.append(place)
    return result


def _place(row: np.ndarray) -> tuple[int, int, float, float]:
    """Return line and column of an object's cell and where in cells its centre is."""
    u, v = TASK.pinhole.project(row[None, 6:9])[0] / TASK.stride
    return int(v), int(u), float(u), float(v)


def _seen(row: np.ndarray) -> bool:
    return row[0] > 0 and not (row[17] == 0 and row[18] == 0)


def _per_object(sums: list[float], targets: np.ndarray) -> np.ndarray:
    return np.array(sums) / max(np.mean([sum(map(_seen, target[:-1])) for target in targets]), 1.0)


def _plain_heatmap(targets: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    sums = []
    for target, found in zip(targets, heatmap, strict=True):
        total = 0.0
        for line, column, label in np.ndindex(found.shape):
            bump = 0.0
            for row in target[:-1]:
                if _seen(row) and int(row[1]) == label:
                    at_line, at_column, *_ = _place(row)
                    wide, high = (np.clip(0.1 * (row[4:6] - row[2:4]) / TASK.stride, 0.35, 2.0)).tolist()
                    exponent = ((line - at_line) / high) ** 2 + ((column - at_column) / wide) ** 2
                    bump = max(bump, np.exp(-0.5 * exponent))
            p = float(np.clip(found[line, column, label], 1e-4, 1 - 1e-4))
            total -= (1 - p) ** 2 * np.log(p) if bump > 0.999 else (1 - bump) ** 4 * p**2 * np.log(1 - p)
        sums.append(total)
    return _per_object(sums, targets)


def _plain_error(name: str, row: np.ndarray, found: np.ndarray) -> float:
    line, column, u, v = _place(row)
    middle = np.array([column, line]) + 0.5
    if name == "offset":
        return float(np.abs(found - (np.array([u, v]) - middle)).sum())
    if name == "box":
        sides = np.concatenate([middle - row[2:4] / TASK.stride, row[4:6] / TASK.stride - middle])
        return float(np.abs(found / TASK.stride - np.maximum(sides, 0)).sum())
    if name == "depth":
        return 4.0 * abs(np.log(found[0] / row[8]))
    if name == "size":
        return float(np.abs(np.log(found / row[9:12])).sum())
    if name == "yaw":
        angle = np.arctan2(row[12], row[13]) - np.arctan2(row[6], row[8])
        return float(np.abs(found - [np.sin(angle), np.cos(angle)]).sum())
    return 0.1 * float(np.abs(found - row[14:16]).sum()) if row[19] % 2 else 0.0


def _plain_map(name: str, targets: np.ndarray, found: np.ndarray) -> np.ndarray:
    sums = [
        sum(_plain_error(name, row, maps[_place(row)[:2]]) for row in target[:-1].astype(float) if _seen(row))
        for target, maps in zip(targets, found, strict=True)
    ]
    return _per_object(sums, targets)


def _loss(name: str, weight: float = 1.0) -> Any:
    if name == "heatmap":
        return HeatmapLoss(CAMERA, TASK.stride, len(TASK.labels), weight=weight)
    return MapLoss(name, CAMERA, TASK.stride, weight=weight)


def _values(name: str, targets: np.ndarray, maps: dict[str, np.ndarray], weight: float = 1.0) -> np.ndarray:
    return np.asarray(_loss(name, weight).call(tf.constant(targets), tf.constant(maps[name])))


@pytest.mark.parametrize("name", MAPS)
def test_perfect_maps_have_no_loss(name: str):
    targets = _own_cells(_targets())
    maps = perfect_maps(TASK, targets)
    # Decoding takes arrows of any length and boxes that turn at the cell; the loss asks for length 1 and sides above 0.
    maps["yaw"] /= 2
    maps["box"] = np.maximum(maps["box"], 0)
    np.testing.assert_allclose(_values(name, targets, maps), 0, atol=2e-4)
    wrong = {key: 1.3 * value + 1 for key, value in maps.items()}
    assert (_values(name, targets, wrong)[targets[:, :-1, 0].any(axis=1)] > 0.05).all()


def test_the_heatmap_loss_is_low_for_peaks_in_the_right_cells_alone():
    targets = _own_cells(_targets())
    maps = perfect_maps(TASK, targets)
    right = _values("heatmap", targets, maps)
    assert (right < 0.01).all()
    for wrong in (maps["heatmap"][:, :, ::-1], maps["heatmap"][..., ::-1], np.zeros_like(maps["heatmap"])):
        assert (_values("heatmap", targets, {"heatmap": wrong}) > 0.5).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["heatmap", *MAPS])
def test_every_loss_is_what_a_plain_loop_computes(name: str, seed: int):
    targets, maps = _targets(seed=seed), _random_maps(4, seed)
    targets[0, 1, 17:19] = 0  # no sensor has a point of it
    targets[1, 0, 17:19] = -1, 0  # nobody knows
    targets[2, 0, 19] -= targets[2, 0, 19] % 2  # of unknown velocity
    plain = _plain_heatmap(targets, maps[name]) if name == "heatmap" else _plain_map(name, targets, maps[name])
    np.testing.assert_allclose(_values(name, targets, maps), plain, rtol=2e-4)
    np.testing.assert_allclose(_values(name, targets, maps, weight=0.3), 0.3 * plain, rtol=2e-4)


@pytest.mark.parametrize("name", MAPS)
def test_only_the_cells_of_objects_have_a_gradient(name: str):
    # Two objects in one cell may pull its answer to opposite sides.
    targets = _own_cells(_targets())
    maps = tf.constant(_random_maps(4)[name])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        loss = tf.reduce_sum(_loss(name).call(tf.constant(targets), maps))
    touched = np.any(tape.gradient(loss, maps).numpy() != 0, axis=-1)
    expected = np.zeros_like(touched)
    for sample, target in enumerate(targets):
        for row in target[:-1]:
            if row[0]:
                expected[(sample, *_place(row)[:2])] = True
    np.testing.assert_array_equal(touched, expected)


@pytest.mark.parametrize("name", ["heatmap", *MAPS])
def test_objects_that_no_sensor_has_a_point_of_are_no_targets(name: str):
    maps = _random_maps(4)
    unseen, empty = _targets(radar_points=0, lidar_points=0), _targets()
    empty[:, :-1] = 0
    np.testing.assert_array_equal(_values(name, unseen, maps), _values(name, empty, maps))
    if name != "heatmap":
        np.testing.assert_array_equal(_values(name, empty, maps), 0)
    for counts in ((1, 0), (0, 1), (-1, -1), (-1, 0), (0, -1)):
        seen = _targets(radar_points=counts[0], lidar_points=counts[1])
        np.testing.assert_array_equal(_values(name, seen, maps), _values(name, _targets(), maps))


def test_an_unknown_velocity_does_not_count():
    known, unknown, maps = _targets(velocity=[5.0, 1.0]), _targets(velocity=[np.nan, np.nan]), _random_maps(4)
    assert (_values("velocity", known, maps) > 0).all()
    np.testing.assert_array_equal(_values("velocity", unknown, maps), 0)
    for name in ("heatmap", "depth", "box"):
        np.testing.assert_array_equal(_values(name, unknown, maps), _values(name, known, maps))


@pytest.mark.parametrize("name", ["heatmap", *MAPS])
def test_certain_and_wild_answers_have_finite_losses_and_gradients(name: str):
    targets = tf.constant(_targets())
    wild = {"heatmap": (0.0, 1.0), "depth": (1.0, 400.0), "size": (0.05, 60.0)}.get(name, (-1e4, 1e4))
    for value in wild:
        maps = tf.fill(_random_maps(4)[name].shape, value)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = _loss(name)(targets, maps)
        assert np.isfinite(loss)
        assert np.isfinite(tape.gradient(loss, maps)).all()


# === The head ===


def _head(channels: int = 24) -> tuple[keras.Model, Config]:
    config = Config(camera=CAMERA, max_objects=10, channels=channels, dropout=0.0)
    head, tokens = find("tasks", "detection", "head"), keras.Input((ROWS * COLUMNS, 8), name="tokens")
    encoded = Encoded({}, Fused(None, Tokens(tokens, None, grid=TASK.cells)))
    model = keras.Model({"tokens": tokens}, head.build(encoded, config.spec(), config))
    model.compile(keras.optimizers.Adam(1e-2), loss=head.losses(config.spec(), config), jit_compile=False)
    return model, config


def test_a_compiled_model_comes_back_with_its_losses(tmp_path: Path):
    model, _ = _head(8)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, loss in model.loss.items():
        assert again.loss[name].get_config() == loss.get_config()


def test_the_head_learns_a_handful_of_samples_until_the_answer_is_right():
    """Features that tell cells apart and nothing else: head, losses and decoding have one idea of every map."""
    keras.utils.set_random_seed(0)
    targets = _own_cells(_targets(3, seed=3, attribute=""), around=1)
    tokens = {"tokens": np.random.default_rng(0).normal(size=(3, ROWS * COLUMNS, 8)).astype("float32")}
    model, _ = _head()
    data = tf.data.Dataset.from_tensors((tokens, {output.name: tf.constant(targets) for output in TASK.outputs}))
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(2e-2, 200)
    model.fit(data.repeat(), steps_per_epoch=200, shuffle=False, verbose=0)
    outputs = {name: np.asarray(value) for name, value in model(tokens, training=False).items()}
    score, best = TASK.score(targets, outputs), TASK.score(targets, perfect_maps(TASK, targets))
    assert score["mAP"] > best["mAP"] - 0.05
    assert score["AP50_2d"] > best["AP50_2d"] - 0.05
    for error, most in (("mATE", 0.1), ("mASE", 0.03), ("mAOE", 0.03), ("velocity_error", 0.5)):
        assert score[error] < best[error] + most
