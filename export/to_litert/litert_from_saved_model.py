"""LiteRT (TFLite) from a SavedModel with static batch 1, with LiteRT's built-in operations only.

The SavedModel comes from Keras' ExportArchive. From concrete functions, or from `tf.saved_model.save` of a Keras model,
the converter writes a small file without weights whose outputs are NaN, without an error.

| precision | int8 parts | writer |
|---|---|---|
| int8-full | every operation with an int8 form; inputs and outputs do not change | converter |
| int8 | convolutions and dense layers with their activations, except layers that stay in float | ai-edge-quantizer |
| int8-weights | weights only, dequantised when the file is loaded | ai-edge-quantizer |
| int8-dynamic | weights with embeddings; activations at run time, where operations support it | converter |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from export.calibration.ranges import audit_ranges
from export.formats import Format, Job
from export.quantization.costs import Costs
from export.to_litert.int8 import LiteRTQuantizer, weights_only
from export.verification.constants.litert_constants import litert_constants
from mmkeras.core.errors import ExportError

__all__ = ["FORMAT", "convert", "convert_saved_model", "float32"]

FRESH = 50
"""Samples outside the calibration set on which saturation is measured."""


def convert(job: Job, precision: str, path: Path) -> Costs | None:
    """Write one LiteRT file; its signature has the model's input and output names.

    Raises:
        ExportError: an operation is not built in; the message lists all of them.
    """
    if precision == "int8":
        base = float32(job)
        quantizer = LiteRTQuantizer(base, job.calibration.inputs)
        fresh = {name: value[:FRESH] for name, value in job.tuning[0].cases[0].inputs.items()}
        job.calibration = job.calibration.with_warnings(audit_ranges(base, job.calibration, fresh, quantizer.ranges))
        return job.search(quantizer, FORMAT.name, precision, path)
    if precision == "int8-weights":
        weights_only(float32(job), path)
    elif precision == "float32":
        path.write_bytes(float32(job).read_bytes())
    else:
        batches = job.calibration.batches if precision == "int8-full" else None
        path.write_bytes(convert_saved_model(job.static_saved_model, precision, batches))
    return None


def float32(job: Job) -> Path:
    """Return the float32 file of a job, written on first use."""
    path = job.work / "float32.tflite"
    if not path.exists():
        path.write_bytes(convert_saved_model(job.static_saved_model, "float32"))
    return path


def convert_saved_model(
    folder: Path, precision: str, batches: Callable[[], Iterable[dict[str, np.ndarray]]] | None = None
) -> bytes:
    """Convert the ``serving_default`` endpoint of a SavedModel with static shapes.

    The precision is ``float32``, ``float16``, ``int8-dynamic`` or ``int8-full``; for the last, ``batches`` yields
    calibration samples by input name in batches of one.

    Raises:
        ExportError: the model needs operations that are not built in.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8-full":
        # Float operations are the fallback: ids, masks and comparisons have no int8 form.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.representative_dataset = batches
    try:
        content: bytes = converter.convert()
    except Exception as error:  # ConverterError is private, and other failures are bare exceptions
        raise ExportError(_explain(error)) from error
    return content


def _explain(error: Exception) -> str:
    """Return a message with the operations that cannot be converted, which the converter lists amid pages of MLIR."""
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
    precisions=("float32", "float16", "int8-dynamic", "int8-weights", "int8", "int8-full"),
    tolerance=1e-4,
    convert=convert,
    ladder=("int8-full", "int8", "int8-weights", "int8-dynamic", "float16", "float32"),
    float32=float32,
    constants=litert_constants,
)
"""Found by `export.formats`."""
