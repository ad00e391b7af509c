"""tf2onnx's silent failures: each bad route is taken, and `check` or verification sees it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf2onnx
from keras import layers

from export.source import Source
from export.to_onnx.onnx_from_keras import WRITERS, check, erfc_handler, float32_graph
from export.verification.report import Report
from mmkeras.core.errors import ExportError
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio

SPEC = (tf.TensorSpec((None, 4), tf.float32, name="x"),)


@pytest.fixture(autouse=True)
def _silent() -> Any:
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def model_of(*stack: Any) -> keras.Model:
    inputs = keras.Input((4,), name="x")
    value = inputs
    for layer in stack:
        value = layer(value)
    return keras.Model({"x": inputs}, {"y": value})


def plain(model: keras.Model, **options: Any) -> Any:
    """Convert in the plain way, without any of the exporter's care, but with the batch dimension named."""
    proto, _ = tf2onnx.convert.from_function(
        tf.function(lambda x: dict(model({"x": x}, training=False)), autograph=False),
        input_signature=SPEC,
        opset=17,
        **options,
    )
    return proto


def name_batch(proto: Any) -> Any:
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


def run(proto: Any, x: np.ndarray, folder: Path) -> np.ndarray:
    onnx.save(proto, folder / "model.onnx")
    with runners()["onnx"](folder / "model.onnx") as runner:
        return runner.infer({"x": x})["y"]


X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def test_trap_exact_gelu_gives_an_invalid_file_that_the_checker_refuses(tmp_path: Path) -> None:
    model = model_of(layers.Dense(3), layers.Activation("gelu"))
    bad = name_batch(plain(model))
    if tf.__version__.startswith("2.16."):  # which writes the gelu of a model with Erf
        assert "Erf" in {node.op_type for node in bad.graph.node}
        check(bad, model)
        return
    assert "Erfc" in {node.op_type for node in bad.graph.node}
    with pytest.raises(ExportError, match="Erfc"):
        check(bad, model)
    with pytest.raises(Exception, match="Erfc"):
        run(bad, X, tmp_path)
    good = name_batch(plain(model, custom_op_handlers={"Erfc": (erfc_handler, [])}))
    check(good, model)
    np.testing.assert_allclose(run(good, X, tmp_path), model({"x": X})["y"], atol=1e-6)


def test_trap_constants_of_normalization_become_inputs_of_the_graph(tmp_path: Path) -> None:
    normalization = layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[2.0] * 4)
    model = model_of(normalization, layers.Dense(3))
    model({"x": X})
    before = normalization.mean
    bad = name_batch(plain(model))
    assert len(bad.graph.input) > 1
    with pytest.raises(ExportError, match="inputs are not the model's"):
        check(bad, model)
    good = float32_graph(model)
    check(good, model)
    np.testing.assert_allclose(run(good, X, tmp_path), model({"x": X})["y"], atol=1e-6)
    assert normalization.mean is before, "the model is left as it was"


def test_trap_dimensions_come_without_a_name() -> None:
    model = model_of(layers.Dense(3))
    bad = plain(model)
    assert bad.graph.input[0].type.tensor_type.shape.dim[0].dim_param.startswith("unk__")
    with pytest.raises(ExportError, match="unk__"):
        check(bad, model)


def test_trap_from_keras_is_broken_with_keras_3(source: Source) -> None:
    with pytest.raises(ValueError):
        tf2onnx.convert.from_keras(source.model, opset=17)


def test_trap_onnx_export_of_a_loaded_model_needs_a_call_first(tmp_path: Path) -> None:
    model = model_of(layers.Dense(3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    with pytest.raises(ValueError, match="never called"):
        loaded.export(tmp_path / "bad.onnx", format="onnx", verbose=False)
    # Our own route traces the call itself, and Source calls every model once.
    check(float32_graph(loaded), loaded)


def test_trap_no_longer_there_a_saved_model_of_a_loaded_model_has_its_variables(tmp_path: Path) -> None:
    model = model_of(layers.Dense(3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    archive = keras.export.ExportArchive()
    archive.track(loaded)
    archive.add_endpoint("serve", lambda x: loaded({"x": x}), input_signature=list(SPEC))
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(saved.serve(tf.constant(X))["y"], model({"x": X})["y"], atol=1e-6)


def test_trap_the_float16_conversion_leaves_its_casts_unsorted(report: Report, source: Source) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    base = onnx.load(report.folder / "edge" / "tiny.float32.onnx")
    with pytest.raises(ExportError, match="topologically sorted"):
        check(convert_float_to_float16(base, keep_io_types=True), source.model)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8-dynamic"])
def test_every_file_has_the_models_interface_and_opset_17(report: Report, source: Source, precision: str) -> None:
    proto = onnx.load(report.folder / "edge" / f"tiny.{precision}.onnx")
    check(proto, source.model)
    assert {o.domain: o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")} == {"": 17}
    assert [i.name for i in proto.graph.input] == [i.name for i in source.model.inputs]
    kinds = {node.op_type for node in proto.graph.node}
    if precision == "int8-dynamic":
        assert "MatMulInteger" in kinds
        assert "ConvInteger" not in kinds
    else:
        assert "MatMulInteger" not in kinds


def test_an_int8_file_without_anything_quantised_is_refused(tmp_path: Path) -> None:
    onnx.save(float32_graph(model_of(layers.Dense(3))), tmp_path / "base.onnx")
    with pytest.raises(ExportError, match="nothing to quantise"):
        WRITERS["int8-dynamic"](tmp_path / "base.onnx", tmp_path / "out.onnx")


def test_other_inputs_outputs_and_types_are_seen(source: Source, report: Report) -> None:
    proto = onnx.load(report.folder / "edge" / "tiny.float32.onnx")
    first, second = proto.graph.input[0], proto.graph.input[1]
    swapped = onnx.ModelProto()
    swapped.CopyFrom(proto)
    swapped.graph.input[0].CopyFrom(second)
    swapped.graph.input[1].CopyFrom(first)
    with pytest.raises(ExportError, match="inputs are not the model's"):
        check(swapped, source.model)
    model = model_of(layers.Dense(3))
    with pytest.raises(ExportError, match="outputs are not the model's"):
        check(float32_graph(keras.Model(model.input, {"z": model.output["y"]})), model)
