"""Int8 LiteRT files: layers by choice in int8, short names, and the same answers as the float32 file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from export.source import Source
from export.to_litert.compact import compact
from export.to_litert.int8 import LiteRTQuantizer, weights_only
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError
from mmkeras.runtime.differences.read import read_contents
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio


@pytest.fixture(scope="module")
def inputs(source: Source) -> dict[str, np.ndarray]:
    """Real samples."""
    return Reference(source).cases[0].inputs


@pytest.fixture(scope="module")
def quantizer(float32: Path, inputs: dict[str, np.ndarray]) -> LiteRTQuantizer:
    """Calibrated once."""
    return LiteRTQuantizer(float32, inputs)


def answers(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with runners()["tflite"](path, threads=1) as runner:
        rows = [runner.infer({name: value[i : i + 1] for name, value in inputs.items()}) for i in range(8)]
    return np.concatenate([row["probabilities"] for row in rows])


def int8_bytes(path: Path) -> int:
    contents = read_contents(path, "tflite")
    assert contents is not None
    return contents.types["int8"]


def test_layers_carry_their_keras_layer_and_their_part_of_the_model(quantizer: LiteRTQuantizer) -> None:
    assert {layer.branch for layer in quantizer.layers} == {"image", "text", "fusion", "head"}
    by_layer = {layer.layer: layer for layer in quantizer.layers}
    assert by_layer["image_branch/edge/stem_conv"].operation == "CONV_2D"
    assert by_layer["head_logits"].branch == "head"
    assert len({layer.name for layer in quantizer.layers}) == len(quantizer.layers)
    assert all(layer.weights > 0 for layer in quantizer.layers)


def test_what_is_kept_stays_in_float_and_the_rest_becomes_int8(
    quantizer: LiteRTQuantizer, float32: Path, inputs: dict[str, np.ndarray], tmp_path: Path
) -> None:
    quantizer.write(tmp_path / "all.tflite")
    kept = [layer.name for layer in quantizer.layers if layer.branch == "text"]
    quantizer.write(tmp_path / "kept.tflite", kept)
    every, part = int8_bytes(tmp_path / "all.tflite"), int8_bytes(tmp_path / "kept.tflite")
    assert every >= sum(layer.weights for layer in quantizer.layers)
    text = sum(layer.weights for layer in quantizer.layers if layer.branch == "text")
    assert every - part == pytest.approx(text, rel=0.1)
    assert int8_bytes(float32) == 0
    expected = answers(float32, inputs)
    for name in ("all", "kept"):
        got = answers(tmp_path / f"{name}.tflite", inputs)
        assert 1e-6 < np.abs(got - expected).max() < 0.5
        assert (got.argmax(-1) == expected.argmax(-1)).mean() >= 7 / 8


def test_calibrated_ranges_cover_the_values_of_the_samples(
    quantizer: LiteRTQuantizer, inputs: dict[str, np.ndarray]
) -> None:
    low, high = next(value for name, value in quantizer.ranges.items() if re.search("stem.*Relu6", name))
    assert 0 <= low < high <= 6


def test_nothing_to_quantise_unknown_names_and_no_samples_are_refused(
    quantizer: LiteRTQuantizer, float32: Path, inputs: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="No layer is called"):
        quantizer.write(tmp_path / "x.tflite", ["nonsense"])
    with pytest.raises(ExportError, match="the float32 file"):
        quantizer.write(tmp_path / "x.tflite", [layer.name for layer in quantizer.layers])
    assert not list(tmp_path.iterdir())
    for none in ({}, {name: value[:0] for name, value in inputs.items()}):
        with pytest.raises(ExportError, match="calibration samples"):
            LiteRTQuantizer(float32, none)


def test_weights_alone_answer_nearly_like_float32_in_a_third_of_its_size(
    float32: Path, inputs: dict[str, np.ndarray], tmp_path: Path
) -> None:
    weights_only(float32, tmp_path / "weights.tflite")
    assert int8_bytes(tmp_path / "weights.tflite") > 0
    difference = np.abs(answers(tmp_path / "weights.tflite", inputs) - answers(float32, inputs)).max()
    assert 1e-6 < difference < 0.1


def test_a_compact_file_computes_the_same_to_the_bit_and_keeps_the_parts_of_the_model(
    float32: Path, inputs: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "compact.tflite"
    path.write_bytes(compact(float32.read_bytes()))
    assert path.stat().st_size < float32.stat().st_size
    np.testing.assert_array_equal(answers(path, inputs), answers(float32, inputs))
    before, after = read_contents(float32, "tflite"), read_contents(path, "tflite")
    assert before is not None
    assert after is not None
    # The masks of the text's self-attention are no longer broadcast by a constant of trues.
    assert before.operators - after.operators == {"LOGICAL_AND": before.operators["LOGICAL_AND"]}
    assert not after.operators - before.operators
    assert before.types - after.types == {"bool": before.types["bool"]}
    for part in ("image", "text", "fusion", "head"):
        assert after.parts[part] == pytest.approx(before.parts[part], rel=0.05), part
    assert compact(path.read_bytes()) == path.read_bytes()
