"""Every cure is tried: the bad form is found in its layer with the cure, the cured form is clean and means the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from export.doctor.verdicts import Examination, Verdict
from tests.export.doctor.conftest import Apply, Examine

Form = Callable[[Any], Any]
SHAPE = (4, 6)
BOUNDS = np.array([0.3, 0.6], "float32")

# name -> (bad form, cured form, LiteRT's operation, ONNX's operation, words of the cure); an operation that a target
# has is None. Values are between 0.1 and 0.9.
FORMS: dict[str, tuple[Form, Form, str | None, str | None, str]] = {
    "acos": (ops.arccos, lambda x: ops.arctan2(ops.sqrt(1 - x * x), x), "Acos", None, "arctan2"),
    "acosh": (
        lambda x: ops.arccosh(1 + x),
        lambda x: ops.log(1 + x + ops.sqrt((1 + x) * (1 + x) - 1)),
        "Acosh",
        None,
        "ops.log",
    ),
    "asin": (ops.arcsin, lambda x: ops.arctan2(x, ops.sqrt(1 - x * x)), "Asin", None, "arctan2"),
    "asinh": (ops.arcsinh, lambda x: ops.log(x + ops.sqrt(x * x + 1)), "Asinh", None, "ops.log"),
    "atan": (ops.arctan, lambda x: ops.arctan2(x, ops.ones_like(x)), "FlexAtan", None, "arctan2"),
    "atanh": (ops.arctanh, lambda x: 0.5 * (ops.log(1 + x) - ops.log(1 - x)), "Atanh", None, "ops.log"),
    "cosh": (ops.cosh, lambda x: 0.5 * (ops.exp(x) + ops.exp(-x)), "FlexCosh", None, "ops.exp"),
    "sinh": (ops.sinh, lambda x: 0.5 * (ops.exp(x) - ops.exp(-x)), "FlexSinh", None, "ops.exp"),
    "tan": (ops.tan, lambda x: ops.sin(x) / ops.cos(x), "FlexTan", None, "ops.cos"),
    "cumprod": (
        lambda x: ops.cumprod(x, axis=1),
        lambda x: ops.exp(ops.cumsum(ops.log(x), axis=1)),
        "FlexCumprod",
        None,
        "ops.cumsum",
    ),
    "erf": (ops.erf, lambda x: ops.tanh(1.1283792 * x + 0.100911 * x * x * x), "FlexErf", None, "1.1283792"),
    "expm1": (ops.expm1, lambda x: ops.exp(x) - 1, None, "Expm1", "ops.exp(x) - 1"),
    "log1p": (ops.log1p, lambda x: ops.log(1 + x), None, "Log1p", "ops.log(1 + x)"),
    "buckets": (
        lambda x: ops.cast(ops.digitize(x, BOUNDS), "float32"),
        lambda x: ops.sum(ops.cast(ops.expand_dims(x, -1) >= BOUNDS, "float32"), -1),
        None,
        "Bucketize",
        ">= bounds",
    ),
    "argmax": (
        lambda x: ops.argmax(x, -1),
        lambda x: ops.cast(ops.top_k(x, 1)[1][..., 0], "int32"),
        "FlexBitwiseAnd",
        "BitwiseAnd",
        "top_k",
    ),
    "sixteen": (
        lambda x: ops.cast(ops.cast(x, "float16") * 2, "float32"),
        lambda x: x * 2,
        "FlexMul",
        None,
        "float32",
    ),
    "python": (
        lambda x: tf.ensure_shape(tf.numpy_function(lambda a: a, [x], tf.float32), x.shape),
        lambda x: x,
        "PyFunc",
        "PyFunc",
        "keras.ops",
    ),
    "beta": (lambda x: tf.math.betainc(x, x, x), lambda x: x, "Betainc", "Betainc", "host"),
    "determinant": (
        lambda x: tf.linalg.det(x[:, :, :4]),
        lambda x: x[:, 0, 0],
        "FlexMatrixDeterminant",
        None,
        "host",
    ),
}
# What stands for a form that only the host can have, or that is another function.
OTHERS = ("python", "beta", "determinant", "argmax")


def model_of(*, cured: bool) -> keras.Model:
    x = keras.Input(SHAPE, name="x")
    forms = {name: good if cured else bad for name, (bad, good, *_) in FORMS.items()}
    return keras.Model({"x": x}, {name: Apply(form, f"make_{name}")(x) for name, form in forms.items()})


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, (3, *SHAPE)).astype("float32")


def test_every_bad_form_is_found_in_its_layer_with_its_cure(examine: Examine) -> None:
    found = examine(model_of(cured=False))
    for name, (_, _, litert, onnx, cure) in FORMS.items():
        for target, verdict, operator in (
            ("tflite", Verdict.FLEX, litert),
            ("onnx", Verdict.NO_FORM, onnx),
            ("tensorrt", Verdict.PLUGIN, onnx),
        ):
            tell = [
                finding
                for finding in found[target].findings
                if finding.error and finding.verdict == verdict and f"make_{name}" in finding.layers
            ]
            if operator is None and (name, target) != ("determinant", "tensorrt"):
                assert not tell, f"{name} for {target}: {tell}"
                continue
            hits = [finding for finding in tell if operator in (None, *finding.operators)]
            assert hits, f"{name} for {target}: {tell}"
            assert any(cure in finding.cure for finding in hits), f"{name} for {target}: {hits}"


def test_every_cured_form_is_taken_by_every_target(examine: Examine) -> None:
    found = examine(model_of(cured=True))
    for examination in found.values():
        assert not examination.errors, examination.findings


@pytest.mark.parametrize("name", sorted(FORMS.keys() - set(OTHERS)))
def test_a_cured_form_is_the_same_function(name: str, values: np.ndarray) -> None:
    bad, cured = FORMS[name][:2]
    np.testing.assert_allclose(np.asarray(cured(values)), np.asarray(bad(values)), atol=1e-3)


def test_top_k_chooses_as_argmax_does(values: np.ndarray) -> None:
    bad, cured = FORMS["argmax"][:2]
    np.testing.assert_array_equal(np.asarray(cured(values)), np.asarray(bad(values)))


# name -> (bad form, cured form, operator that stays in float, words of the cure)
ISLANDS: dict[str, tuple[Form, Form, str, str]] = {
    "negative": (lambda x: -ops.sigmoid(x), lambda x: ops.sigmoid(x) * -1.0, "NEG", "multiply by -1"),
    "square": (ops.square, lambda x: ops.multiply(x, x), "SQUARE", "ops.multiply(x, x)"),
    "cumsum": (
        lambda x: ops.cumsum(x, axis=-1),
        lambda x: ops.matmul(x, np.triu(np.ones((6, 6), "float32"))),
        "CUMSUM",
        "triangular",
    ),
    "power": (lambda x: ops.exp2(x), lambda x: ops.exp(0.6931472 * x), "POW", "0.6931472"),
    "triangle": (
        lambda x: ops.tril(x),
        lambda x: x * np.tril(np.ones((6, 6), "float32")),
        "SELECT_V2",
        "mask of ones and zeros",
    ),
    "normal": (
        lambda x: keras.layers.LayerNormalization(name="inner")(x),
        lambda x: (c := x - ops.mean(x, -1, keepdims=True)) * ops.rsqrt(ops.mean(c * c, -1, keepdims=True) + 1e-3),
        "NEG",
        "ops.rsqrt",
    ),
}


def islands_of(*, cured: bool) -> keras.Model:
    """The operations between quantised ones: a Dense layer before and behind each."""
    x = keras.Input((6, 6), name="x")
    outputs = {}
    for name, (bad, good, *_) in ISLANDS.items():
        form = good if cured else bad
        before = keras.layers.Dense(6, name=f"before_{name}")(x)
        made = form(before) if name == "normal" else Apply(form, f"make_{name}")(before)
        outputs[name] = keras.layers.Dense(3, name=f"after_{name}")(made)
    return keras.Model({"x": x}, outputs)


def islands(examination: Examination) -> dict[str, tuple[str, str]]:
    return {
        path: (", ".join(finding.operators), finding.cure)
        for finding in examination.findings
        if finding.verdict == Verdict.ISLAND
        for path in finding.layers
    }


def test_islands_are_found_in_their_layers_and_no_error(examine: Examine) -> None:
    examination = examine(islands_of(cured=False), "tflite")["tflite"]
    found = islands(examination)
    assert not examination.errors
    for name, (_, _, operator, cure) in ISLANDS.items():
        operators, told = found["inner" if name == "normal" else f"make_{name}"]
        assert operator in operators
        assert cure in told, f"{name}: {told}"
    assert set(found) == {"inner", *(f"make_{name}" for name in ISLANDS if name != "normal")}


def test_cured_islands_are_gone(examine: Examine) -> None:
    assert not islands(examine(islands_of(cured=True), "tflite")["tflite"])
