"""A short simulated drive, and a real LiteRT bundle of a detector with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Golden, Manifest, exported_file, write_golden, write_manifest
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.radar.spec import Spec as RadarSpec
from mmkeras.tasks.detection.spec import Config as TaskConfig
from tests.runtime import conftest as bundles
from tests.tolerances import everywhere

# The fixtures that make another real bundle.
exported = bundles.exported
images = bundles.images

VIEW = (64.0, 32.0, 50.0, 32.0, 12.0)
IMAGE = ImageSpec("camera", height=32, width=64)
RADAR = RadarSpec("radar", max_points=32, camera=VIEW, sweeps=4)
TASK = TaskConfig(labels=("car", "pedestrian"), camera=VIEW, score_threshold=0.5, max_detections=5).spec()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 10 Hz with three radars: never change it."""
    from mmkeras.driving.simulation import SimulationConfig, simulate

    config = SimulationConfig(
        train_scenes=0, validation_scenes=0, test_scenes=1, scene_seconds=2.0, width=128, height=72, workers=1
    )
    return simulate(config, tmp_path_factory.mktemp("drives") / "simulated")


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle: never change it."""
    folder = tmp_path_factory.mktemp("saved_models") / "tiny_detector" / "1"
    (folder / "edge").mkdir(parents=True)
    model = _model()
    (folder / "edge/tiny.float32.tflite").write_bytes(_convert(model, tmp_path_factory.mktemp("work")))
    inputs = {k: v[None] for spec in (IMAGE, RADAR) for k, v in spec.inputs(None).items()}
    outputs = {name: np.asarray(value) for name, value in model(inputs, training=False).items()}
    target = np.zeros((1, *TASK.target.shape), np.float32)
    golden = Golden(("nothing",), ("all",), inputs, outputs, target, np.arange(1))
    golden_files = write_golden(folder, golden, [{"camera": None, "radar": None}])
    file = exported_file(
        folder,
        "edge/tiny.float32.tflite",
        format="tflite",
        precision="float32",
        tolerances=everywhere(1e-4, outputs, ("all",)),
        accepted=True,
    )
    manifest = Manifest(
        name="tiny_detector",
        version=1,
        created="2025-01-01T00:00:00+00:00",
        modalities=(IMAGE.to_json(), RADAR.to_json()),
        task=TASK.to_json(),
        files=(file,),
        golden=golden_files,
        provenance={},
    )
    write_manifest(folder, manifest)
    return folder


def _model():
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(0)
    inputs = {
        tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name)
        for spec in (IMAGE, RADAR)
        for tensor in (*spec.tensors, spec.present)
    }
    seen = layers.Conv2D(8, 8, strides=8, activation="relu")(ops.cast(inputs["camera"], "float32") / 127.5 - 1.0)
    seen = seen * ops.reshape(inputs["camera_present"], (-1, 1, 1, 1))
    mask = ops.expand_dims(ops.cast(inputs["radar_mask"], "float32"), -1)
    heard = layers.Dense(8)(ops.sum(inputs["radar_points"] * mask, axis=1) / 32.0)
    heard = heard * ops.expand_dims(inputs["radar_present"], -1)
    fused = seen + ops.reshape(heard, (-1, 1, 1, 8))
    maps = {}
    for tensor in TASK.outputs:
        activation = {"heatmap": "sigmoid", "depth": "softplus", "size": "softplus"}.get(tensor.name)
        maps[tensor.name] = layers.Conv2D(tensor.shape[-1], 1, activation=activation, name=tensor.name)(fused)
    return keras.Model(inputs, maps)


def _convert(model, work: Path) -> bytes:
    import keras
    import tensorflow as tf

    signature = {n: tf.TensorSpec((1, *t.shape[1:]), t.dtype, name=n) for n, t in model.input.items()}
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda inputs: model(inputs, training=False), input_signature=[signature])
    archive.write_out(str(work), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(work), signature_keys=["serving_default"])
    return bytes(converter.convert())
