"""One draw moves a whole sample, and what cannot follow is named before any data is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Pillow

from mmkeras.core.components import Choice
from mmkeras.core.errors import ConfigError
from mmkeras.data.transforms import augment
from mmkeras.media.geometry import Pose
from mmkeras.model import check_model, specs_before_data, task_spec
from mmkeras.tasks._moves import check_moves
from tests.tiny import TinyDrive, tiny_drive_config, tiny_model_config

pytestmark = pytest.mark.tfio

POSE = Pose.from_matrix(Pose((1.5, 0.4, 1.6), (0.52, -0.47, 0.51, -0.498)).matrix)
MIRRORED_POSE = Pose.from_matrix(np.diag([1.0, -1.0, 1.0, 1.0]) @ POSE.matrix @ np.diag([-1.0, 1.0, 1.0, 1.0]))


def scene(side: float) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Return picture, radar points and target of a street; with ``side`` -1 of the mirrored street."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 64, 3)).astype(np.uint8)
    points = rng.normal(size=(10, 8)).astype(np.float32)
    points[:, 2] = rng.uniform(5, 50, 10)
    car = {"name": "car", "centre": [18.0, side * 3.0, 0.8], "size": [1.9, 4.5, 1.6], "yaw": side * 0.4}
    person = {"name": "pedestrian", "centre": [12.0, side * -2.0, 0.9], "size": [0.6, 0.7, 1.8], "yaw": side * -2.0}
    boxes = [{**car, "velocity": [5.0, side * 1.5], "attribute": "vehicle.moving", "radar_points": 3}, person]
    if side < 0:
        pixels = pixels[:, ::-1]
        points[:, [0, 4]] *= -1
    return pixels, points, {"boxes": boxes, "camera": POSE if side > 0 else MIRRORED_POSE}


def encoded(config: TinyDrive, side: float) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Return inputs and target of the scene, each twice."""
    specs, task = specs_before_data(config), task_spec(config)
    pixels, points, target = scene(side)
    inputs = {**specs["camera"].inputs(Pillow.fromarray(pixels)), **specs["radar"].inputs(points)}
    values = np.asarray(task.encode(target))
    return {name: tf.stack([value, value]) for name, value in inputs.items()}, {"target": tf.stack([values, values])}


def test_a_mirrored_scene_is_the_scene_of_the_mirrored_street():
    config = tiny_drive_config()
    config = replace(config, camera=replace(config.camera, flip=True))
    specs, task = specs_before_data(config), task_spec(config)
    configs = {"camera": config.camera, "radar": config.radar}
    plain, mirrored = encoded(config, 1.0), encoded(config, -1.0)
    assert np.asarray(plain[1]["target"])[0, :2, 0].tolist() == [1, 1], "both objects are in the picture"
    seen = []
    for seed in range(8):
        moved = augment(*plain, specs, configs, task, tf.constant([seed, 1]))
        for sample in range(2):
            is_mirrored = not np.array_equal(moved[0]["camera"][sample], plain[0]["camera"][sample])
            wanted = mirrored if is_mirrored else plain
            for got, expected in zip(moved, wanted, strict=True):
                for name, value in expected.items():
                    np.testing.assert_allclose(got[name][sample], value[sample], atol=2e-5, err_msg=name)
            seen.append(is_mirrored)
    assert set(seen) == {False, True}


def test_boxes_and_radar_follow_a_mirrored_picture_but_not_a_shifted_one():
    config = tiny_drive_config()
    check_model(replace(config, camera=replace(config.camera, flip=True)))
    with pytest.raises(ConfigError) as error:
        check_model(replace(config, camera=replace(config.camera, flip=True, translate=0.1)))
    assert str(error.value).splitlines() == [
        "model.camera.translate: the modality radar (radar) cannot follow: its points have places in space, not in the "
        "picture alone. Leave the option out",
        "model.camera.translate: the targets of the task detection cannot follow: its boxes have places in space, not "
        "in the picture alone. Leave the option out",
    ]


def test_a_camera_that_looks_aside_is_not_mirrored():
    camera = (64.0, 32.0, 50.0, 30.0, 12.0)
    config = tiny_drive_config()
    task = Choice("detection", {**config.task.options, "camera": list(camera)})
    config = replace(
        config, task=task, radar=replace(config.radar, camera=camera), camera=replace(config.camera, flip=True)
    )
    with pytest.raises(ConfigError, match=r"model\.camera\.flip: .*column 30, not in the middle of its 64 columns"):
        check_model(config)


def test_labels_and_texts_do_not_hinder_a_move(tmp_path):
    config = tiny_model_config(tmp_path, task=Choice("classification"))  # its labels are not known yet
    check_model(replace(config, image=replace(config.image, flip=True, translate=0.1)))


def test_a_second_modality_that_moves_the_sample_is_refused():
    config = tiny_drive_config()
    model = replace(config, camera=replace(config.camera, flip=True))
    configs = {"camera": model.camera, "rear": model.camera}
    specs = {name: each.spec(name) for name, each in configs.items()}
    with pytest.raises(ConfigError, match=r"model\.rear\.flip: model\.camera\.flip moves the whole sample"):
        check_moves(specs, configs, task_spec(model), "detection")
