from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from export.foreign.model import Tensor
from export.foreign.picture import PictureSpec, declared_fields, inferred
from mmkeras.core.errors import ConfigError, DataError

PIXELS = np.array([[[0, 127.5, 255], [255, 0, 51]]])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scale": "0..255"}, PIXELS),
        ({"scale": "0..1"}, PIXELS / 255),
        ({"scale": "-1..1"}, PIXELS / 127.5 - 1),
        ({"scale": "imagenet"}, (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ({"scale": "caffe", "colours": "bgr"}, PIXELS[..., ::-1] - [103.939, 116.779, 123.68]),
        ({"scale": "0..1", "layout": "nchw"}, np.moveaxis(PIXELS / 255, -1, 0)),
        ({"scale": "0..255", "colours": "grey"}, (PIXELS @ [0.299, 0.587, 0.114])[..., None]),
    ],
)
def test_a_spec_gives_what_its_words_say(fields, expected):
    spec = PictureSpec((1, 2), **fields)
    np.testing.assert_allclose(spec.arrange(PIXELS), expected, atol=1e-4)
    assert spec.arrange(PIXELS).shape == spec.shape


def test_a_mean_of_its_own_and_a_letterbox_with_grey_bars():
    fields = declared_fields({"mean": "0.5", "std": [0.5, 0.25, 0.5], "resize": "letterbox", "fill": 114}, "x")
    spec = PictureSpec((4, 4), **fields)
    np.testing.assert_allclose(spec.arrange(PIXELS), (PIXELS / 255 - 0.5) / [0.5, 0.25, 0.5], atol=1e-6)
    pixels = spec.pixels(Image.new("RGB", (8, 4), "white"))
    assert pixels[:, 0, 0].tolist() == [114, 255, 255, 114]


@pytest.mark.parametrize(
    ("tensor", "format", "rescales", "expected"),
    [
        (Tensor("x", (8, 9, 3), "float32"), "tflite", None, ("nhwc", "0..1", "ASSUMED")),
        (Tensor("x", (3, 8, 9), "float32"), "onnx", None, ("nchw", "0..1", "ASSUMED")),
        (Tensor("x", (8, 9, 3), "float32"), "keras", True, ("nhwc", "0..255", "rescales")),
        (Tensor("x", (3, 3, 3), "float32"), "onnx", None, ("nchw", "0..1", "both layouts")),
        (Tensor("x", (8, 9, 3), "uint8"), "saved_model", None, ("nhwc", "0..255", "")),
        (Tensor("x", (8, 9, 3), "uint8", 1 / 128, 128), "tflite", None, ("nhwc", "-1..1", "quantisation")),
        (Tensor("x", (8, 9, 3), "int8", 1 / 255, -128), "tflite", None, ("nhwc", "0..1", "quantisation")),
        (Tensor("x", (8, 9, 3), "int8", 1.0, -128), "tflite", None, ("nhwc", "0..255", "quantisation")),
        (Tensor("x", (8, 9, 3), "int8", 0.02, -13), "tflite", None, ("nhwc", "0..1", "ASSUMED")),
    ],
)
def test_what_is_not_declared_is_inferred_and_said(tensor, format, rescales, expected):
    spec, said = inferred(tensor, {}, format, rescales)
    assert (spec.layout, spec.scale, expected[2] in said) == (*expected[:2], True)


@pytest.mark.parametrize(
    ("tensor", "given", "words"),
    [
        (Tensor("x", (None, None, 3), "float32"), {}, "declare one with --input x=size"),
        (Tensor("x", (8, 9, 4), "float32"), {"layout": "nhwc"}, "expected 1 or 3 channels"),
        (Tensor("x", (8, 9, 3), "uint8"), {"scale": "0..1"}, "expected scale=0..255"),
        (Tensor("x", (72,), "float32"), {}, "three dimensions"),
        (Tensor("x", (8, 9, 3), "float32"), {"colours": "grey"}, r"has the shape \(B, 8, 9, 1\)"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(tensor, given, words):
    with pytest.raises(ConfigError, match=words):
        inferred(tensor, given, "onnx", None)


def test_integers_are_stored_by_scale_or_refused():
    quantised = Tensor("x", (2,), "uint8", 0.5, 10)
    assert quantised.store(np.array([[0.0, 1.0], [-100.0, 1000.0]])).tolist() == [[10, 12], [0, 255]]
    ids = Tensor("ids", (2,), "int32")
    assert ids.store(np.array([1.0, 2.0])).dtype == np.int32
    with pytest.raises(DataError, match="whole numbers"):
        ids.store(np.array([1.5]))
    with pytest.raises(DataError, match="from 0 to 255"):
        Tensor("x", (1,), "uint8").store(np.array([256.0]))
