from types import SimpleNamespace

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.evaluation.ablation import ablate
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.predict import Variant, predict, predict_evidence
from mmkeras.evaluation.slices import FEW_SAMPLES, group_column, slice_metrics
from tests.evaluation.problems import both_bits, left_bit, specs, task, two_signals

SPECS = specs("left", "right")
BOOTSTRAP = Bootstrap(200)


def run(model, samples, names=("left", "right")):
    ran = []
    chosen = {name: SPECS[name] for name in names}

    def one(variant):
        ran.append(variant)
        return predict_evidence(model, samples, chosen, task(), batch_size=128, variant=variant)

    whole = BOOTSTRAP.score(task(), one(Variant()), samples.weights)
    result, warnings = ablate(one, samples, chosen, task(), whole, BOOTSTRAP)
    return SimpleNamespace(result=result, warnings=warnings), ran


def test_fusion_that_helps():
    found, ran = run(both_bits, two_signals())
    verdict = found.result["verdict"]
    assert verdict["fusion_helps"] is True
    assert "Fusion helps" in verdict["text"]
    assert not found.warnings
    accuracy = {group: found.result[group]["left"]["metrics"]["accuracy"]["value"] for group in ("removed", "alone")}
    assert accuracy["removed"] == pytest.approx(0.5, abs=0.1)
    assert accuracy["alone"] == pytest.approx(0.5, abs=0.1)
    cost = verdict["cost_of_missing"]["left"]
    assert cost["high"] < 0
    assert len(ran) == 5, "without one of two modalities is the other alone: one pass for both"


def test_fusion_that_adds_nothing_is_said():
    found, _ = run(left_bit, two_signals())
    assert found.result["verdict"]["fusion_helps"] is False
    assert any("Fusion adds nothing" in warning for warning in found.warnings)
    assert any("does not use right" in warning for warning in found.warnings)
    assert not any("does not use left" in warning for warning in found.warnings)


def test_a_model_that_only_misses_the_presence_of_a_modality_does_not_fuse():
    def spoilt_by_absence(batch):
        outputs = left_bit(batch)
        missing = batch["right_present"] == 0
        outputs["probabilities"][missing] = outputs["probabilities"][missing][:, ::-1]
        return outputs

    found, _ = run(spoilt_by_absence, two_signals())
    assert found.result["verdict"]["gain"]["low"] > 0
    assert found.result["verdict"]["fusion_helps"] is False
    assert "Only one modality's content is used" in found.warnings[0]


def test_worse_than_a_constant_answer_is_said():
    def confused(batch):
        outputs = both_bits(batch)
        missing = batch["left_present"] == 0
        outputs["probabilities"][missing] = np.roll(
            both_bits({**batch, "left_present": 1 + 0 * batch["left_present"]})["probabilities"][missing], 1, axis=1
        )
        return outputs

    samples = two_signals()
    samples.targets[:] = 0
    samples.inputs["left_value"][:] = 0
    samples.inputs["right_value"][:] = 0
    found, _ = run(confused, samples)
    assert any("Without left the model is worse than a constant answer" in warning for warning in found.warnings)


def test_one_modality_has_no_fusion_to_judge():
    found, ran = run(left_bit, two_signals(), names=("left",))
    assert found.result["verdict"]["fusion_helps"] is None
    assert found.result["verdict"]["gain"] is None
    assert found.result["removed"] == found.result["alone"] == found.result["verdict"]["cost_of_missing"] == {}
    assert list(found.result["shuffled"]) == ["left"]
    assert "one modality, left" in found.result["verdict"]["text"]
    assert not any(variant.absent for variant in ran)
    assert len(ran) == 2


def test_slices_are_sorted_flagged_and_compared():
    samples = two_signals()
    outputs = predict(both_bits, samples, SPECS, batch_size=128)
    low = np.flatnonzero(samples.targets < 2)[:60]
    outputs["probabilities"][low] = outputs["probabilities"][low][:, ::-1]
    evidence = task().evidence(samples.targets, outputs)
    whole = BOOTSTRAP.score(task(), evidence, samples.weights)
    slices, remarks = slice_metrics(samples, evidence, task(), whole, BOOTSTRAP)
    assert not remarks
    assert list(slices["half"]) == ["low", "high"]
    assert slices["half"]["low"]["worse"] is True
    assert slices["half"]["high"]["worse"] is False
    assert list(slices["rare"])[-1] == "yes", "few samples come last"
    assert slices["rare"]["yes"]["samples"] == 5 < FEW_SAMPLES
    assert slices["rare"]["yes"]["few"] is True
    expected = (outputs["probabilities"].argmax(1) == samples.targets)[samples.columns["half"] == "low"].mean()
    assert slices["half"]["low"]["accuracy"]["value"] == pytest.approx(expected)
    chosen, _ = slice_metrics(samples, evidence, task(), whole, BOOTSTRAP, ["rare"])
    assert list(chosen) == ["rare"]
    with pytest.raises(ConfigError, match="did you mean 'half'"):
        slice_metrics(samples, evidence, task(), whole, BOOTSTRAP, ["hallf"])


def test_columns_become_few_groups():
    few, remark = group_column("colour", np.array(["red", "", "red"]))
    assert list(few) == ["red", "(empty)", "red"]
    assert not remark
    numbers, remark = group_column("speed", np.array([str(i / 2) for i in range(200)]))
    assert len(set(numbers)) == 4
    assert min(np.unique(numbers, return_counts=True)[1]) >= 49
    assert "4 ranges" in remark
    words = np.array([f"word {i % 60 if i < 300 else 0}" for i in range(400)])
    many, remark = group_column("word", words)
    assert "(other values)" in many
    assert len(set(many)) == 40
    assert "most frequent" in remark
    names, remark = group_column("file", np.array([f"{i}.png" for i in range(100)]))
    assert not len(names)
    assert "not reported" in remark
