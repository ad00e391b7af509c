"""One bad model per verdict: it is found, in the right layer and with the right cure; the cured model is clean."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

from export.doctor.verdicts import Verdict
from tests.export.doctor.conftest import Apply, Examine, only, told


def test_a_new_axis_by_indexing_with_loose_shapes_needs_flex(examine: Examine) -> None:
    x = keras.Input((None, None), name="x")
    widen = Apply(lambda x: x[:, None, :, None, :] * 2.0, "widen")
    finding = only(examine(keras.Model({"x": x}, {"y": widen(x)}), "tflite")["tflite"], Verdict.FLEX)
    assert finding.error
    assert finding.layers == ("widen",)
    assert finding.operators == ("FlexStridedSlice",)
    assert "ops.expand_dims" in finding.cure
    cured = Apply(lambda x: ops.expand_dims(ops.expand_dims(x, 1), 3) * 2.0, "widen")
    assert not examine(keras.Model({"x": x}, {"y": cured(x)}), "tflite")["tflite"].errors


def test_gelu_is_taken_in_both_forms(examine: Examine) -> None:
    """LiteRT has it built in since, and exports write Erfc for ONNX."""
    x = keras.Input((4, 6), name="x")
    outputs = {
        "exact": layers.Dense(3, activation="gelu", name="exact")(x),
        "tanh": layers.Dense(3, activation=lambda v: ops.gelu(v, approximate=True), name="tanh")(x),
    }
    found = examine(keras.Model({"x": x}, outputs))
    assert not any(examination.findings for examination in found.values()), found
    assert found["tflite"].operators["exact"]["GELU"] == 1
    assert "Erf" in found["onnx"].operators["exact"]


@pytest.mark.parametrize(("dtype", "trouble"), [("int64", True), ("int32", False)])
def test_int64_ids(examine: Examine, dtype: str, trouble: bool) -> None:
    ids = keras.Input((8,), dtype=dtype, name="ids")
    shifted = Apply(lambda x: x + 1, "shift")(ids)
    found = examine(keras.Model({"ids": ids}, {"y": layers.Embedding(10, 4, name="table")(shifted)}))
    assert not any(examination.errors for examination in found.values())
    for target in ("tflite", "tensorrt"):
        tell = told(found[target], Verdict.INT64)
        assert bool(tell) == trouble, found[target].findings
        assert all("int32" in finding.cure for finding in tell)
    if trouble:
        assert "shift" in told(found["tflite"], Verdict.INT64)[0].layers
        assert all(finding.versions == ("8.6",) for finding in told(found["tensorrt"], Verdict.INT64))


def test_what_only_tensorrt_8_6_lacks_is_told_with_the_version(examine: Examine) -> None:
    x = keras.Input((8, 8, 3), name="x")
    bad = Apply(lambda x: ops.image.resize(x, (13, 13), interpolation="bicubic"), "grow")(x)
    finding = only(examine(keras.Model({"x": x}, {"y": bad}), "tensorrt")["tensorrt"], Verdict.REFUSED)
    assert (finding.error, finding.layers, finding.versions) == (True, ("grow",), ("8.6",))
    assert "linear" in finding.cure
    good = Apply(lambda x: ops.image.resize(x, (13, 13), interpolation="bilinear"), "grow")(x)
    assert not examine(keras.Model({"x": x}, {"y": good}))["tensorrt"].findings


@pytest.mark.parametrize(("magnitude", "wide"), [(1e9, True), (8.0, False)])
def test_a_mask_of_minus_1e9_leaves_int8_nothing(examine: Examine, magnitude: float, wide: bool) -> None:
    x = keras.Input((4, 6), name="x")
    mask = keras.Input((6,), name="x_mask")
    scores = layers.Dense(6, name="scores")(x)
    hidden = Apply(lambda s, m: s + (ops.expand_dims(m, 1) - 1) * magnitude, "hide")(scores, mask)
    model = keras.Model({"x": x, "x_mask": mask}, {"y": layers.Softmax(name="weights")(hidden)})
    examination = examine(model, "tflite")["tflite"]
    tell = told(examination, Verdict.WIDE)
    assert bool(tell) == wide, examination.findings
    if wide:
        assert tell[0].layers == ("hide",)
        assert not tell[0].error
        assert "moderate" in tell[0].cure


def test_keras_own_mask_is_told_as_well(examine: Examine) -> None:
    x = keras.Input((4, 6), name="x")
    mask = keras.Input((4,), dtype="bool", name="x_mask")
    attention = layers.MultiHeadAttention(2, 4, name="attend")
    model = keras.Model({"x": x, "x_mask": mask}, {"y": attention(x, x, attention_mask=mask[:, None, :])})
    finding = only(examine(model, "tflite")["tflite"], Verdict.WIDE)
    assert finding.layers[0].startswith("attend")
    assert "Keras itself masks" in finding.cure


def test_plain_operations_between_layers_are_told_by_their_names(examine: Examine) -> None:
    x = keras.Input((4, 6), name="x")
    y = layers.Dense(3, name="dense")(ops.arctan(layers.Dense(3, name="dense_1")(x)))
    finding = only(examine(keras.Model({"x": x}, {"y": y}), "tflite")["tflite"], Verdict.FLEX)
    assert len(finding.layers) == 1
    assert finding.layers[0].startswith("arctan")


def test_a_layer_within_models_is_told_with_its_whole_path(examine: Examine) -> None:
    inner = keras.Input((6,), name="inner")
    within = keras.Model(inner, Apply(ops.tan, "turn")(layers.Dense(3, name="dense")(inner)), name="text_branch")
    x = keras.Input((6,), name="x")
    found = examine(keras.Model({"x": x}, {"y": layers.Dense(2, name="dense")(within(x))}, name="Whole"), "tflite")
    assert only(found["tflite"], Verdict.FLEX).layers == ("text_branch/turn",)
    assert found["tflite"].operators["text_branch/dense"]["FULLY_CONNECTED"] == 1
    assert found["tflite"].operators["dense"]["FULLY_CONNECTED"] == 1


def test_a_grouped_convolution_has_no_onnx_form(examine: Examine) -> None:
    x = keras.Input((8, 8, 4), name="x")
    bad = layers.Conv2D(4, 3, groups=2, name="grouped")(x)
    finding = only(examine(keras.Model({"x": x}, {"y": bad}), "onnx")["onnx"], Verdict.NO_FORM)
    assert finding.layers == ("grouped",)
    assert "group" in finding.cure
    halves = [layers.Conv2D(2, 3, name=f"half_{i}")(x[..., 2 * i : 2 * i + 2]) for i in range(2)]
    assert not examine(keras.Model({"x": x}, {"y": ops.concatenate(halves, -1)}), "onnx")["onnx"].errors
