"""The endpoints of a SavedModel, with preprocessing in the graph.

``serving_default`` takes raw values: one 1-D string tensor per modality, named as the modality, with the bytes of a
JPEG or PNG file or a UTF-8 text. An empty string means that the modality is missing. Files are read by the rules of a
device: EXIF orientation and transparency are applied. CMYK, animations and the other formats that a device reads (WebP,
GIF, BMP, TIFF, PPM) fail with InvalidArgumentError, which names what is expected: TensorFlow does not decode them
alike. It returns the model's outputs and, for a classification, ``label``.

``tensors`` takes every model input by name, presence included, with a batch of any size. Loading needs
``import tensorflow_text`` first where text is tokenized in the graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.source import Source
from mmkeras.data.modules import records_of
from mmkeras.modalities import ModalitySpec

__all__ = ["RAW_ENDPOINT", "SAVED_MODEL", "TENSOR_ENDPOINT", "decode_batch", "write_saved_model", "write_static"]

SAVED_MODEL = "saved_model"
"""Name of the format."""
RAW_ENDPOINT = "serving_default"
TENSOR_ENDPOINT = "tensors"


def write_saved_model(source: Source, folder: Path) -> None:
    """Write a SavedModel with both endpoints into a folder; files of other kinds in it stay."""
    import keras
    import tensorflow as tf

    specs = list(source.specs.values())
    # Without `track`, which would store each weight twice: as Keras' own variable and as TensorFlow's.
    archive = keras.export.ExportArchive()
    raw = {spec.name: tf.TensorSpec((None,), tf.string, name=spec.name) for spec in specs}

    @tf.autograph.experimental.do_not_convert
    def serve(inputs: dict[str, Any]) -> dict[str, Any]:
        tensors: dict[str, Any] = {}
        for spec in specs:
            tensors |= decode_batch(spec, inputs[spec.name])
        outputs = source.model(tensors, training=False)
        return outputs | _labels(source, outputs)

    # The first endpoint becomes serving_default, regardless of the names.
    archive.add_endpoint(RAW_ENDPOINT, serve, input_signature=[raw])
    archive.add_endpoint(TENSOR_ENDPOINT, _forward(source.model), input_signature=[_signature(source, None)])
    archive.write_out(str(folder), verbose=False)


def write_static(source: Source, folder: Path) -> None:
    """Write a SavedModel with the one endpoint ``serving_default``: every model input with static batch 1."""
    import keras

    archive = keras.export.ExportArchive()
    archive.add_endpoint(RAW_ENDPOINT, _forward(source.model), input_signature=[_signature(source, 1)])
    archive.write_out(str(folder), verbose=False)


def decode_batch(spec: ModalitySpec, raw: Any) -> dict[str, Any]:
    """Preprocess raw values, string (B,), in the graph, as records are decoded in training.

    An empty string is a missing modality. Returns every tensor of the modality (B, ...) and its presence (B,).
    """
    import tensorflow as tf

    decode = records_of(spec.kind).decode
    absent = spec.absent()
    raw = tf.convert_to_tensor(raw, tf.string)

    def one(value: Any) -> dict[str, Any]:
        return tf.cond(
            tf.strings.length(value) > 0,
            lambda: decode(spec, value),
            lambda: {name: tf.constant(array) for name, array in absent.items()},
        )

    signature = {t.name: tf.TensorSpec(t.shape, t.dtype) for t in spec.tensors}
    tensors = tf.map_fn(one, raw, fn_output_signature=signature)
    return {**tensors, spec.present.name: tf.cast(tf.strings.length(raw) > 0, tf.float32)}


def _forward(model: Any) -> Any:
    def forward(inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(model(inputs, training=False))

    return forward


def _signature(source: Source, batch: int | None) -> dict[str, Any]:
    import tensorflow as tf

    tensors = [tensor for spec in source.specs.values() for tensor in (*spec.tensors, spec.present)]
    return {t.name: tf.TensorSpec((batch, *t.shape), t.dtype, name=t.name) for t in tensors}


def _labels(source: Source, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the label (B,) as text for a classification with label names; nothing for other tasks."""
    import tensorflow as tf

    labels = source.task.label_names
    if source.task.kind != "classification" or not labels:
        return {}
    return {"label": tf.gather(tf.constant(list(labels)), tf.argmax(outputs["probabilities"], axis=-1))}
