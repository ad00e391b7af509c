"""The search finds the layer that ruins int8, leaves it in float, and says what each part costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest

from export.quantization.search import Search
from export.quantization.trial import Trial, tuning_samples
from export.source import Source
from export.to_litert.int8 import LiteRTQuantizer
from export.verification.gates import Gate
from export.verification.results import ScenarioResult
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError


class Spoiled:
    """A quantiser whose calibration saw nothing of one layer: in int8 it answers with noise."""

    def __init__(self, inner: LiteRTQuantizer, spoiled: str) -> None:
        self.layers = inner.layers
        self._inner = inner
        name = next(layer.name for layer in inner.layers if layer.layer == spoiled)
        # As in a saturated layer: its output's range is a hundredth of the real one.
        low, high = inner.ranges[name]
        inner.ranges[name] = (low / 100, high / 100)
        self.written: list[int] = []

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        kept = tuple(keep)
        self.written.append(len(kept))
        self._inner.write(path, kept)


@pytest.fixture(scope="module")
def trial(source: Source) -> Trial:
    """The tiny model on its own samples; a tenth of the decisions may go."""
    gates = {"int8": Gate(metric_drop=0.1)}
    return Trial(Reference(source), "train", "tflite", "int8", gates)


def test_a_spoiled_layer_is_found_and_stays_in_float(trial: Trial, float32: Path) -> None:
    quantizer = Spoiled(LiteRTQuantizer(float32, trial.reference.cases[0].inputs), "head_logits")
    said: list[str] = []
    keep, costs = Search(quantizer, trial, said.append).run()
    assert costs.kept == ("head_logits",)
    assert [layer.layer for layer in quantizer.layers if layer.name in keep] == ["head_logits"]
    assert costs.whole > 10 > costs.final
    assert max(costs.branches, key=lambda name: costs.branches[name]) == "head"
    assert costs.quantized == costs.total - 1 == len(quantizer.layers) - 1
    assert costs.scenarios[0] == "all"
    assert said[0] == "everything in int8"
    assert any("head_logits" in line for line in said)
    content = costs.to_json()
    assert [entry["kept"] for entry in content["layers"]] == [True] + [False] * (len(content["layers"]) - 1)


def test_nothing_is_searched_where_everything_holds(trial: Trial, float32: Path) -> None:
    easy = dataclasses.replace(trial, gates={"int8": Gate(metric_drop=1.0)})
    keep, costs = Search(LiteRTQuantizer(float32, trial.reference.cases[0].inputs), easy).run()
    assert keep == ()
    assert costs.branches == {}
    assert costs.layers == ()
    assert costs.quantized == costs.total


def test_limits_that_no_int8_layer_holds_end_with_a_reason(trial: Trial, float32: Path) -> None:
    impossible = dataclasses.replace(trial, gates={"int8": Gate(metric_drop=-0.5)})
    with pytest.raises(ExportError, match="Not even one layer"):
        Search(LiteRTQuantizer(float32, trial.reference.cases[0].inputs), impossible).run()


def test_candidates_are_tried_on_samples_that_are_not_verified_on(source: Source) -> None:
    samples, split = tuning_samples(source, 10)
    assert split == "train"
    assert len(samples) == 10
    verified = {id(sample) for sample in source.samples}
    assert not verified & {id(sample) for sample in samples}
    with pytest.raises(ExportError, match="no samples to search with"):
        tuning_samples(dataclasses.replace(source, training=()), 10)


class Unsure(Trial):
    """A trial whose metric moves by 20 points by chance alone."""

    def measure(self, path: Path, names: Iterable[str] | None = None) -> dict[str, ScenarioResult]:
        found = super().measure(path, names)
        return {name: dataclasses.replace(each, metric_error=0.2) for name, each in found.items()}


def test_what_chance_alone_can_do_starts_no_search(trial: Trial, float32: Path) -> None:
    quantizer = LiteRTQuantizer(float32, trial.reference.cases[0].inputs)
    known = {each.name: getattr(trial, each.name) for each in dataclasses.fields(trial)}
    # Below what any file reaches, but by less than one sample, which chance may cost.
    gates = {"int8": Gate(metric_drop=-0.9 / len(trial.reference.keys))}
    keep, costs = Search(quantizer, Unsure(**{**known, "gates": gates})).run()
    assert keep == ()
    assert costs.quantized == costs.total
    with pytest.raises(ExportError, match="Not even one layer"):
        Search(quantizer, Trial(**{**known, "gates": gates})).run()


def test_float16_may_use_half_of_the_limit_because_its_islands_cost_little(
    trial: Trial, float32: Path, tmp_path: Path
) -> None:
    quantizer = Spoiled(LiteRTQuantizer(float32, trial.reference.cases[0].inputs), "head_logits")
    quantizer.write(tmp_path / "spoiled.tflite")
    results = trial.measure(tmp_path / "spoiled.tflite")
    lost = trial.worst(results) / 100
    for precision, limit, goes_on in (("int8", 1.5, False), ("float16", 1.5, True), ("float16", 2.5, False)):
        gates = {precision: Gate(metric_drop=limit * lost)}
        asked = dataclasses.replace(trial, precision=precision, gates=gates)
        assert not asked.refused(results)
        assert bool(asked.problems(results)) == goes_on
    # Where even the least of float16 uses up more than half, the limit itself decides.
    some = Gate(metric_drop=1e-12)
    keep, _ = Search(quantizer, dataclasses.replace(trial, precision="float16", gates={"float16": some})).run()
    assert [layer.layer for layer in quantizer.layers if layer.name in keep] == ["head_logits"]
