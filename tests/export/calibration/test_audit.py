from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from export.calibration import prepare_calibration, save_calibration
from export.calibration.audit import audit, coverage_warnings, overlap_warnings, shared_samples, split_samples
from export.calibration.calibration import Calibration
from export.verification.scenarios import ALL, Scenario, ScenarioInputs
from mmkeras.core.errors import ExportError
from mmkeras.data.read import read_samples
from tests.export.calibration.test_prepare import config


def of_samples(samples, specs) -> Calibration:
    inputs = ScenarioInputs(specs, [sample.values for sample in samples]).inputs(Scenario(ALL))
    return Calibration(inputs, tuple(sample.key for sample in samples), "mine.npz")


def test_noise_in_a_file_is_refused_and_says_why(source, tmp_path):
    chosen = prepare_calibration(source, config())
    rng = np.random.default_rng(0)
    noise = {**chosen.inputs, "image": rng.integers(0, 256, chosen.inputs["image"].shape).astype("uint8")}
    path = save_calibration(dataclasses.replace(chosen, inputs=noise), tmp_path / "noise.npz")
    with pytest.raises(ExportError, match=r"(?s)noise\.npz: these samples do not look.*image: share of pictures whose"):
        prepare_calibration(source, config(path))
    # Without training data, samples are compared with the test samples.
    with pytest.raises(ExportError, match="do not look like the data"):
        prepare_calibration(dataclasses.replace(source, training=()), config(path))


def test_test_samples_are_recognised(data):
    index, specs = data
    test, training = read_samples(index, "test"), read_samples(index, "train")
    mixed = of_samples([*training[:10], *test[:4]], specs)
    shared = shared_samples(mixed, iter(test), specs)
    assert {test[n].key for n in range(4)} <= set(shared)
    assert len(overlap_warnings(mixed, iter(test), specs)) == 1
    line = overlap_warnings(mixed, iter(test), specs)[0]
    assert line.startswith(f"{len(shared)} of the 14 samples are in the test split too, such as ")
    once = dict(mixed.inputs)
    once["image"] = once["image"] ^ np.uint8(1)
    assert overlap_warnings(dataclasses.replace(mixed, inputs=once), iter(test), specs) == [] or any(
        not sample.values["image"] for sample in test[:4]
    )
    assert overlap_warnings(mixed, (), specs) == []


def test_missing_coverage_is_reported(data):
    index, specs = data
    few = coverage_warnings(of_samples(read_samples(index, "train", 4), specs), specs)
    assert few[0].startswith("4 samples are few")
    records = [r for r in read_samples(index, "train") if r.values["image"] and r.values["text"]]
    whole = of_samples([records[0]] * 100, specs)
    assert coverage_warnings(whole, specs) == [
        "Only 1 of the 100 samples differ from each other.",
        "Every sample has image: the ranges without it are not measured.",
        "Every sample has text: the ranges without it are not measured.",
    ]
    blind = of_samples([dataclasses.replace(r, values={**r.values, "image": None}) for r in records], specs)
    blind = dataclasses.replace(blind, strata={"class": {"a": 1, **{f"rare {n}": 0 for n in range(7)}}})
    found = coverage_warnings(blind, specs)
    assert "No sample has the class rare 0, rare 1, rare 2, rare 3, rare 4 and 2 more." in found
    assert "No sample has image: the ranges of its branch are those of a missing input." in found
    silent = dict(whole.inputs) | {"text_padding_mask": np.zeros_like(whole.inputs["text_padding_mask"])}
    assert any(
        line.startswith("text is empty in every sample")
        for line in coverage_warnings(dataclasses.replace(whole, inputs=silent), specs)
    )


def test_warnings_are_kept_with_the_samples(source):
    tested = of_samples(source.samples, source.specs)
    warned = audit(dataclasses.replace(tested, source="train"), source)
    assert "48 samples are few" in warned.warnings[0]
    assert any(line.startswith("48 of the 48 samples are in the test split") for line in warned.warnings)
    assert warned.to_json()["warnings"] == list(warned.warnings)


def test_splits_come_from_the_index_or_from_memory(source, data):
    index, _ = data
    assert list(split_samples(source, "train")) == list(source.training)
    assert list(split_samples(source, "test")) == list(source.samples)
    assert list(split_samples(source, "validation")) == []
    opened = dataclasses.replace(source, index=index)
    assert [r.key for r in split_samples(opened, "test")] == [r.key for r in read_samples(index, "test")]
    gone = dataclasses.replace(index, splits={"train": index.splits["train"]})
    assert list(split_samples(dataclasses.replace(source, index=gone), "test")) == []
