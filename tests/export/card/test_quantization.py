"""The model card's words on static int8."""

from __future__ import annotations

from export.card.quantization import quantization
from export.quantization.costs import Costs, LayerCost

COSTS = Costs(
    metric="mAP",
    samples=240,
    split="validation",
    scenarios=("all",),
    whole=2.5,
    branches={"camera": 1.4, "head": 1.7},
    layers=(LayerCost("head_heatmap", "head", 1.71, True), LayerCost("head_size", "head", 0.01)),
    final=0.1,
    quantized=59,
    total=60,
)
CALIBRATION = {"samples": 200, "source": "train", "fingerprint": "ab" * 32, "strata": {}, "warnings": ["no | night"]}


def card(costs: Costs) -> str:
    file = {"format": "tflite", "precision": "int8", "branch_costs": costs.to_json()}
    return quantization({"calibration": CALIBRATION, "files": [file, {"format": "onnx", "precision": "float32"}]})


def test_the_card_says_what_ranges_rest_on_and_what_stays_in_float() -> None:
    text = card(COSTS)
    assert "200 samples (train)" in text
    assert "abababababababab" in text
    assert "59 of 60 layers in int8" in text
    assert r"| head\_heatmap | -0.0171 | stays in float |" in text
    assert "head\\_size" not in text
    # What comes from data cannot open a column of a table.
    assert "no | night" not in text


def test_a_file_without_a_search_and_a_bundle_without_static_int8_say_so() -> None:
    assert "No layer stays in float" in card(Costs("mAP", 1, "train", ("all",), 0.1, {}, (), 0.1, 60, 60))
    assert "No file of this bundle is static int8" in quantization({"files": []})
