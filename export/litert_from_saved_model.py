"""LiteRT (TFLite) from a SavedModel with static batch 1, from LiteRT's built-in operations alone.

A SavedModel is the only source that works: from concrete functions, or from `tf.saved_model.save` of a Keras model,
the converter writes a small file without weights that answers NaN, and no error. int8-dynamic is the converter's own
dynamic range quantisation: int8 weights, embeddings among them, and float activations.
"""

from __future__ import annotations

import re
from pathlib import Path

from export.formats import Format, Job
from mmkeras.errors import ExportError

__all__ = ["FORMAT", "convert", "convert_saved_model"]


def convert(job: Job, precision: str, path: Path) -> None:
    """Write one LiteRT file; its signature has the model's input and output names.

    Raises:
        ExportError: an operation is not built in; the message lists them.
    """
    path.write_bytes(convert_saved_model(job.static_saved_model, precision))


def convert_saved_model(folder: Path, precision: str) -> bytes:
    """Convert the ``serving_default`` endpoint of a SavedModel with static shapes.

    Args:
        folder: the SavedModel.
        precision: ``float32``, ``float16`` or ``int8-dynamic``.

    Raises:
        ExportError: the model cannot be expressed in built-in operations.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        content: bytes = converter.convert()
    except Exception as error:  # ConverterError is private, and other failures are bare exceptions
        raise ExportError(_explain(error)) from error
    return content


def _explain(error: Exception) -> str:
    """Turn the converter's pages of MLIR into the operations that stand in the way."""
    text = str(error)
    listed = re.findall(r"^\s*(?:TF Select|Flex|Custom) ops: (.*)$", text, re.MULTILINE)
    missing = {name.strip() for names in listed for name in names.split(",")}
    missing |= set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", text))
    if missing:
        return (
            f"LiteRT has no built-in operation for {', '.join(sorted(missing))}. Current interpreters have no Flex "
            "delegate: write the layer with other operations (for StridedSlice, mask[:, None] becomes "
            "ops.expand_dims)."
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return f"The LiteRT converter failed: {lines[0][:300] if lines else type(error).__name__}"


FORMAT = Format(
    "tflite",
    suffix=".tflite",
    precisions=("float32", "float16", "int8-dynamic"),
    tolerance=1e-4,
    convert=convert,
)
"""What `export.formats` finds."""
