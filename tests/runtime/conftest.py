"""A real bundle, made once: a small Keras model of an image and a text, converted to LiteRT and ONNX."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Bundle, Golden, Manifest, exported_file, write_golden, write_manifest
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.runtime.replay import answers_of
from mmkeras.tasks.classification.spec import Spec as TaskSpec
from tests.tolerances import everywhere

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "shape", "color", "is", "it", "?")
IMAGE = ImageSpec("image", height=16, width=16)
TEXT = TextSpec("text", max_length=8, vocabulary=WORDS)
TASK = TaskSpec(labels=("circle", "red", "square"))
QUESTIONS = ("what shape is it?", "what color is it?", "is it red?", "")
TOLERANCES = {"float32": 1e-4, "float16": 0.02}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four pictures of another size than the model's."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for index in range(4):
        paths.append(folder / f"{index}.png")
        Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, images: list[Path]) -> Path:
    """The bundle folder that every test copies: never change it."""
    folder = tmp_path_factory.mktemp("saved_models") / "tiny" / "1"
    (folder / "edge").mkdir(parents=True)
    model = _model()
    _convert(model, folder, tmp_path_factory.mktemp("work"))
    (folder / "rejected").mkdir()
    shutil.copy(folder / "edge/tiny.float16.tflite", folder / "rejected/tiny.int8-dynamic.tflite")
    for spec in (IMAGE, TEXT):
        spec.save_files(folder)
    golden, raw = _golden(model, images)
    golden_files = write_golden(folder, golden, raw, answers_of(TASK, golden))
    files = [
        exported_file(
            folder,
            f"edge/tiny.{precision}.{format}",
            format=format,
            precision=precision,
            tolerances=everywhere(TOLERANCES[precision]),
            accepted=True,
        )
        for format, precision in (("tflite", "float32"), ("tflite", "float16"), ("onnx", "float32"))
    ]
    rejected = exported_file(
        folder,
        "rejected/tiny.int8-dynamic.tflite",
        format="tflite",
        precision="int8-dynamic",
        tolerances={},
        accepted=False,
        reason="accuracy falls by 1.4 points, allowed 0.5",
    )
    manifest = Manifest(
        name="tiny",
        version=1,
        created="2025-01-01T00:00:00+00:00",
        modalities=(IMAGE.to_json(), TEXT.to_json()),
        task=TASK.to_json(),
        files=(*files, rejected),
        golden=golden_files,
        columns={"image": "photo", "text": "question"},
        provenance={"code_revision": "none", "metrics": {"accuracy": 0.5}},
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(exported, tmp_path / "saved_models" / "tiny" / "1"))


@pytest.fixture
def bundle(exported: Path) -> Bundle:
    """The bundle, opened."""
    return Bundle.open(exported)


@pytest.fixture
def edit(folder: Path) -> Callable[..., Bundle]:
    """Rewrite one exported file's entry in the manifest and open the bundle again."""

    def change(format: str, precision: str, **fields: object) -> Bundle:
        manifest = Bundle.open(folder).manifest
        if (limit := fields.pop("tolerance", None)) is not None:
            fields["tolerances"] = everywhere(limit)  # type: ignore[arg-type]
        files = tuple(
            replace(file, **fields) if (file.format, file.precision) == (format, precision) else file  # type: ignore[arg-type]
            for file in manifest.files
        )
        write_manifest(folder, replace(manifest, files=files))
        return Bundle.open(folder)

    return change


def _model():
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), dtype="uint8", name="image")
    image_present = keras.Input((), dtype="float32", name="image_present")
    ids = keras.Input((8,), dtype="int32", name="text_token_ids")
    mask = keras.Input((8,), dtype="int32", name="text_padding_mask")
    text_present = keras.Input((), dtype="float32", name="text_present")
    seen = layers.Conv2D(8, 3, strides=2, activation="relu")(ops.cast(image, "float32") / 127.5 - 1.0)
    seen = layers.GlobalAveragePooling2D()(seen) * ops.expand_dims(image_present, -1)
    read = layers.Embedding(len(WORDS), 8, embeddings_initializer="glorot_uniform")(ids)
    read = ops.sum(read * ops.expand_dims(ops.cast(mask, "float32"), -1), axis=1)
    read = read * ops.expand_dims(text_present, -1)
    output = layers.Dense(3, activation="softmax")(ops.concatenate([seen, read], axis=-1))
    return keras.Model(
        {
            "image": image,
            "image_present": image_present,
            "text_token_ids": ids,
            "text_padding_mask": mask,
            "text_present": text_present,
        },
        {"probabilities": output},
    )


def _convert(model, folder: Path, work: Path) -> None:
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx

    def signature(batch: int | None) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec((batch, *tensor.shape[1:]), tensor.dtype, name=name)
            for name, tensor in model.input.items()
        }

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda inputs: model(inputs, training=False), input_signature=[signature(1)])
    archive.write_out(str(work), verbose=False)
    for precision in ("float32", "float16"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(work), signature_keys=["serving_default"])
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        (folder / f"edge/tiny.{precision}.tflite").write_bytes(converter.convert())

    @tf.function(input_signature=list(signature(None).values()))
    def positional(*values):
        return model(dict(zip(model.input, values, strict=True)), training=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx uses deprecated names of numpy and TensorFlow
        proto, _ = tf2onnx.convert.from_function(positional, input_signature=list(signature(None).values()), opset=17)
    onnx.save(proto, folder / "edge/tiny.float32.onnx")


def _golden(model, images: list[Path]) -> tuple[Golden, list[dict[str, object]]]:
    samples: list[tuple[str, dict[str, object]]] = []
    for path, question in zip(images, QUESTIONS, strict=True):
        samples.append(("all", {"image": path, "text": question}))
        samples.append(("without_image", {"image": None, "text": question}))
        samples.append(("without_text", {"image": path, "text": None}))
    samples.append(("longest_text", {"image": images[0].read_bytes(), "text": "what is it? " * 9}))
    rows = [{k: v for s in (IMAGE, TEXT) for k, v in s.inputs(values[s.name]).items()} for _, values in samples]
    inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    golden = Golden(
        keys=tuple(f"sample-{index}" for index in range(len(samples))),
        scenarios=tuple(scenario for scenario, _ in samples),
        inputs=inputs,
        outputs={name: np.asarray(value) for name, value in model(inputs, training=False).items()},
        targets=np.zeros(len(samples), np.int32),
        raw=np.arange(len(samples)),
    )
    return golden, [values for _, values in samples]


def picture_bytes(size: int = 16) -> bytes:
    """A PNG."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (size, size), (200, 10, 10)).save(content, "PNG")
    return content.getvalue()
