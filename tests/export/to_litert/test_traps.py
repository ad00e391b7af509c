"""The LiteRT converter's silent failures: each bad route is taken, and our checks see it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

from export.source import Source
from export.to_litert.litert_from_saved_model import FORMAT, convert_saved_model
from export.verification.judge import judge
from export.verification.report import Report
from export.verification.results import ScenarioResult
from export.verification.runners import opened
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError

pytestmark = pytest.mark.tfio

OLD = tf.__version__.startswith("2.16.")
"""A variable that is not frozen ends the process in that converter: the bad routes run in one of their own."""
ALONE = """
import sys
import keras, tensorflow as tf
model = keras.Sequential([keras.Input((4,), batch_size=1), keras.layers.Dense(2)])
call = tf.function(lambda x: model(x), autograph=False).get_concrete_function(tf.TensorSpec((1, 4)))
if sys.argv[1] == "from_concrete_functions":
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call], model)
elif sys.argv[1] == "from_keras_model":
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
else:
    tf.saved_model.save(model, sys.argv[2], signatures=call)
    converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[2])
converter.convert()
"""


def check_that_it_aborts(route: str, folder: Path) -> None:
    """Take a bad route where it ends the process."""
    ended = subprocess.run([sys.executable, "-c", ALONE, route, str(folder)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGABRT
    assert b"LLVM ERROR" in ended.stderr


def signature(source: Source) -> dict[str, tf.TensorSpec]:
    return {i.name: tf.TensorSpec((1, *i.shape[1:]), i.dtype, name=i.name) for i in source.model.inputs}


def concrete(source: Source) -> Any:
    return tf.function(lambda x: source.model(x, training=False), autograph=False).get_concrete_function(
        signature(source)
    )


def from_concrete_functions(source: Source, folder: Path) -> bytes:
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete(source)], source.model).convert()


def from_saved_keras_model(source: Source, folder: Path) -> bytes:
    tf.saved_model.save(source.model, str(folder / "saved"), signatures=concrete(source))
    return tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()


@pytest.mark.parametrize("route", [from_concrete_functions, from_saved_keras_model])
def test_trap_unfrozen_variables_give_nan_without_an_error(
    source: Source, report: Report, tmp_path: Path, route: Any
) -> None:
    if OLD:
        check_that_it_aborts(route.__name__, tmp_path)
        return
    path = tmp_path / "bad.tflite"
    path.write_bytes(route(source, tmp_path))
    good = next(f for f in report.files if (f.format, f.precision) == ("tflite", "float32"))
    table = next(w for w in source.model.weights if w.path.endswith("token_embedding/embeddings")).numpy().tobytes()
    assert table in (report.folder / good.path).read_bytes()
    assert table not in path.read_bytes(), "the weights are not in the file"
    reference = Reference(source)
    with opened("tflite", path) as file:
        results = {reference.cases[0].scenario.name: reference.measure(reference.cases[0], file.infer, file.size)}
    reason = judge("float32", FORMAT.tolerance, results, "accuracy", 1)
    assert reason, "verification must refuse the file"
    assert "NaN" in reason


def test_trap_from_keras_model_does_not_work_with_keras_3(source: Source, tmp_path: Path) -> None:
    if OLD:
        check_that_it_aborts("from_keras_model", tmp_path)
        return
    with pytest.raises(TypeError):
        tf.lite.TFLiteConverter.from_keras_model(source.model).convert()


def convert_layer(call: Any, spec: tf.TensorSpec, folder: Path) -> bytes:
    """Convert one function of a tensor as the exporter would."""
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": call(x)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return convert_saved_model(folder, "float32")


def test_an_operation_that_needs_flex_is_named(tmp_path: Path) -> None:
    spec = tf.TensorSpec((1, 3), tf.float32, name="x")
    with pytest.raises(ExportError, match="no built-in operation for Betainc"):
        convert_layer(lambda x: tf.math.betainc(x, x, x), spec, tmp_path / "saved")


def test_trap_new_axes_by_indexing_become_a_strided_slice_that_needs_flex(tmp_path: Path) -> None:
    spec = tf.TensorSpec((None, None, 4), tf.float32, name="x")
    with pytest.raises(ExportError, match=r"StridedSlice.*ops\.expand_dims"):
        convert_layer(lambda x: x[:, None, :, None, :], spec, tmp_path / "bad")
    assert convert_layer(lambda x: ops.expand_dims(ops.expand_dims(x, 1), 3), spec, tmp_path / "good")


def test_trap_no_longer_there_one_new_axis_on_a_static_mask_converts(tmp_path: Path) -> None:
    """With TensorFlow 2.21 the plain ``mask[:, None, :, :]`` of a static shape is folded into a reshape."""
    spec = tf.TensorSpec((1, 4, 4), tf.float32, name="x")
    assert convert_layer(lambda x: x[:, None, :, :] * 2.0, spec, tmp_path / "saved")


def test_trap_a_sum_of_columns_becomes_a_bias_that_cannot_be_transposed(tmp_path: Path) -> None:
    """Keras makes BiasAdd of ``x + y`` where y looks like a bias along the second axis; subtracting is left alone."""
    spec = tf.TensorSpec((1, 13, 2), tf.float32, name="x")
    with pytest.raises(ExportError, match="BiasAdd" if OLD else r"tf\.Transpose"):
        convert_layer(lambda x: ops.add(x[:, :, :1], x[:, :, 1:]), spec, tmp_path / "bad")
    assert convert_layer(lambda x: ops.subtract(x[:, :, :1], -x[:, :, 1:]), spec, tmp_path / "good")


def test_trap_one_minus_a_transposed_tensor_has_the_wrong_sign(tmp_path: Path) -> None:
    """The converter moves the transposition behind the subtraction and swaps its sides; that of 2.16 does not."""

    def bad(x: Any) -> Any:
        return 1.0 - ops.transpose(ops.sum(x, axis=-1), (0, 2, 1))

    def good(x: Any) -> Any:
        return ops.transpose(1.0 - ops.sum(x, axis=-1), (0, 2, 1))

    x = np.random.default_rng(0).normal(size=(1, 2, 8, 3)).astype("float32")
    for call, sign in ((bad, 1.0 if OLD else -1.0), (good, 1.0)):
        content = convert_layer(call, tf.TensorSpec(x.shape, tf.float32, name="x"), tmp_path / call.__name__)
        found = Interpreter(model_content=content).get_signature_runner()(x=x)["y"]
        np.testing.assert_allclose(found, sign * np.asarray(call(x)), atol=1e-5)


@pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")  # inside the converter
def test_trap_builtins_int8_leaves_float_islands_without_an_error(tmp_path: Path) -> None:
    """Why there is no static int8 by this route: operations stay in float32 and nothing says so."""
    inputs = keras.Input((8,), name="x", batch_size=1)
    hidden = layers.Dense(16, activation="relu")(inputs)
    hidden = hidden * ops.cast(ops.cast(inputs[:, :1] > 0, "int32"), "float32")
    model = keras.Model(inputs, {"y": layers.Dense(2)(hidden)})
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = {"x": tf.TensorSpec((1, 8), tf.float32, name="x")}
    archive.add_endpoint("serving_default", lambda i: model(i["x"]), input_signature=[spec])
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    data = np.random.default_rng(0).normal(size=(16, 1, 8)).astype("float32")
    converter.representative_dataset = lambda: ({"x": row} for row in data)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = Interpreter(model_content=converter.convert())
    names = {detail["index"]: detail["dtype"] for detail in interpreter.get_tensor_details()}
    inside = [
        op["op_name"]
        for op in interpreter._get_ops_details()
        if op["op_name"] not in ("DEQUANTIZE", "DELEGATE")
        and any(names.get(index) is np.float32 for index in op["outputs"])
    ]
    assert inside, "an operation computes in float32 in a file that was asked to be int8 alone"


def test_details_of_the_interpreter_have_another_order_than_the_signature(report: Report) -> None:
    """Why runners go through the signature."""
    path = report.folder / "edge" / "tiny.float32.tflite"
    interpreter = Interpreter(str(path))
    listed = [detail["name"] for detail in interpreter.get_input_details()]
    runner = interpreter.get_signature_runner()
    assert not set(listed) & set(runner.get_input_details()), "details do not even use the model's names"
    assert list(runner.get_output_details()) == ["probabilities"]


def test_the_signature_has_static_batch_1(report: Report) -> None:
    for file in (report.folder / "edge").glob("*.tflite"):
        details = Interpreter(str(file)).get_signature_runner().get_input_details()
        assert {int(d["shape"][0]) for d in details.values()} == {1}
        assert all(-1 not in d["shape_signature"] for d in details.values())


def test_results_of_a_broken_file_are_numbers_not_exceptions() -> None:
    broken = ScenarioResult(1, float("nan"), float("nan"), (), 0.0, -1.0, not_finite=3)
    assert broken.to_json()["max_abs_diff"] is None
