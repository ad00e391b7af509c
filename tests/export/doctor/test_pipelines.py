"""What the shipped pipelines' models are told: nothing that keeps an export from working, and these islands."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from export.doctor.converter import Converter
from export.doctor.examine import examine_model
from export.doctor.report import parts
from export.doctor.verdicts import Verdict
from mmkeras.model import build_model
from tests.export.to_tensorrt.test_compile import TINY

KNOWN = {
    # Keras' LayerNormalization negates a mean: one number per token.
    (Verdict.ISLAND, "NEG"),
    # The radar's encoding of its numbers, on 128 points.
    (Verdict.ISLAND, "CONCATENATION, COS, SIN"),
    (Verdict.ISLAND, "COS"),
    (Verdict.ISLAND, "SIN"),
    # What is known of a series, and the pooling of its mask; what moves between the frames of a clip.
    (Verdict.ISLAND, "CONCATENATION, MEAN, REDUCE_MAX"),
    (Verdict.ISLAND, "CAST, DIV, PADV2, SUM"),
    # Distances and weights of spatial attention; TensorFlow 2.16 names divisions where later ones multiply.
    (Verdict.ISLAND, "DIV"),
    (Verdict.ISLAND, "CONCATENATION, DIV"),
    # The relations of the words of a page, one number for each pair, before they are joined.
    (Verdict.ISLAND, "RESHAPE"),
    # Products of spatial attention, on distances and weights.
    (Verdict.ISLAND, "MUL"),
    (Verdict.ISLAND, "MUL, NEG, STRIDED_SLICE, SUB"),
    # Keras' MultiHeadAttention masks with -1e9 and less.
    (Verdict.WIDE, "BATCH_MATMUL, TRANSPOSE, SELECT_V2"),
    (Verdict.WIDE, "BATCH_MATMUL, SELECT_V2"),
    (Verdict.WIDE, "BATCH_MATMUL, RESHAPE, SELECT_V2"),
    (Verdict.WIDE, "MUL, SELECT_V2"),
}
PARTS = {
    "vqa": {"image", "text", "fusion", "head"},
    "camera_radar": {"camera", "radar", "fusion", "head"},
    "table": {"image", "row", "fusion", "head"},
    "traffic_signs": {"image", "fusion", "head"},
    "medical": {"image", "text", "row", "fusion", "head"},
    "finance": {"series", "text", "fusion", "head"},
    "video_text": {"video", "text", "fusion", "head"},
    "matching": {"image", "text", "head"},
    "segmentation": {"image", "text", "fusion", "head"},
    "documents": {"image", "document", "fusion", "head"},
}


@pytest.mark.parametrize("pipeline", sorted(TINY))
def test_every_pipeline_is_taken_by_every_target(pipeline: str, converter: Converter, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(TINY[pipeline](tmp_path))
    found, layers, _ = examine_model(model, converter, tmp_path)
    assert [examination.target for examination in found] == ["tflite", "onnx", "tensorrt"]
    for examination in found:
        told = {(finding.verdict, ", ".join(finding.operators)) for finding in examination.findings}
        assert told <= KNOWN, examination.findings
        assert not examination.errors
        named = {path for path in examination.operators if path}
        assert named <= set(layers)
        # Every operation is somebody's.
        assert not examination.operators.get(""), examination.operators[""]
    assert set(parts(model).values()) == PARTS[pipeline]


def test_parts_follow_the_inputs_where_names_tell_nothing() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    one = keras.layers.Dense(3, name="left_branch")(left)
    other = keras.layers.Dense(3, name="right_branch")(keras.ops.cos(right))
    joined = keras.ops.tanh(keras.ops.add(keras.ops.sin(one), other))
    model = keras.Model([left, right], keras.layers.Dense(2, name="head_out")(joined))
    found = parts(model)
    assert {found[name] for name in ("left", "left_branch")} == {"left"}
    named = {name.partition("_")[0].rstrip("0123456789"): part for name, part in found.items()}
    assert (named["sin"], named["cos"], named["add"], named["tanh"]) == ("left", "right", "fusion", "fusion")
    assert found["head_out"] == "head"
