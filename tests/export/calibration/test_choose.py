from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from export.calibration.choose import assign_scenarios, choose_calibration, choose_positions, choose_samples, fill
from export.calibration.traits import Traits, length_bins, read_traits
from export.source import Sample
from export.verification.scenarios import scenarios
from mmkeras.core.errors import ConfigError, ExportError
from mmkeras.data.read import read_samples
from mmkeras.tasks import task_from_json
from mmkeras.tasks.multilabel.spec import Spec as MultilabelSpec
from mmkeras.tasks.regression.spec import Spec as RegressionSpec


def traits(kinds: list[str], lengths: list[int] | None = None, present: np.ndarray | None = None) -> Traits:
    return Traits(
        tuple((kind,) for kind in kinds),
        tuple(kinds),
        np.ones((len(kinds), 2), bool) if present is None else present,
        {"text_length": np.asarray(lengths or [1] * len(kinds))},
    )


def test_samples_are_of_the_training_split_and_the_same_every_time(data):
    index, specs = data
    task = task_from_json(index.task)
    first, second = (choose_calibration(index, specs, task, 40) for _ in range(2))
    assert len(first) == 40
    assert first.source == "train"
    assert first.fingerprint == second.fingerprint
    assert first.keys == second.keys
    assert choose_calibration(index, specs, task, 40, seed=1).fingerprint != first.fingerprint
    training = {record.key for record in read_samples(index, "train")}
    assert {key.split(" (")[0] for key in first.keys} <= training
    for spec in specs.values():
        for tensor in (*spec.tensors, spec.present):
            assert first.inputs[tensor.name].shape == (40, *tensor.shape)
            assert first.inputs[tensor.name].dtype == tensor.dtype


def test_every_class_scenario_and_length_is_there(data):
    index, specs = data
    chosen = choose_calibration(index, specs, task_from_json(index.task), 40)
    assert sum(chosen.strata["class"].values()) == 40
    rare = index.splits["train"].classes["c"]
    assert chosen.strata["class"]["c"] == rare < min(chosen.strata["class"]["a"], chosen.strata["class"]["b"])
    assert set(chosen.strata["scenario"]) == {scenario.name for scenario in scenarios(specs)}
    assert min(chosen.strata["scenario"].values()) >= 2
    assert chosen.strata["scenario"]["all"] >= 24
    assert all(chosen.strata["text_length"].values())
    assert set(chosen.strata["present"]) == {"image", "text", "image+text"}
    without = [row for row, key in enumerate(chosen.keys) if "(without_image)" in key]
    assert not chosen.inputs["image"][without].any()
    assert not chosen.inputs["image_present"][without].any()
    assert chosen.inputs["text_present"][without].all()


def test_a_small_split_is_taken_whole_and_an_impossible_count_is_refused(data):
    index, specs = data
    task = task_from_json(index.task)
    every = choose_calibration(index, specs, task, 10_000)
    assert len(every) == index.samples("train")
    assert len(choose_calibration(index, specs, task, 1)) == 1
    with pytest.raises(ConfigError, match="calibration_samples: expected at least 1"):
        choose_calibration(index, specs, task, 0)
    splits = {name: split for name, split in index.splits.items() if name != "train"}
    with pytest.raises(ExportError, match=r"no training samples.*--calibration FILE\.npz"):
        choose_calibration(dataclasses.replace(index, splits=splits), specs, task, 40)


def test_the_split_is_read_one_sample_at_a_time(data):
    index, specs = data
    records = read_samples(index, "train")
    alive: list[int] = []

    def read():
        for number, record in enumerate(records):
            alive.append(number)
            yield Sample(record.key, dict(record.values), record.target)

    chosen = choose_samples(read, specs, task_from_json(index.task), 10)
    again = choose_calibration(index, specs, task_from_json(index.task), 10)
    assert chosen.fingerprint == again.fingerprint
    # The first reading is whole, the second ends with the last sample that was chosen.
    last = max(i for i, record in enumerate(records) if any(key.split(" (")[0] == record.key for key in chosen.keys))
    assert len(alive) == len(records) + last + 1


def test_classes_share_alike_and_rare_ones_give_all_they_have():
    kinds = ["common"] * 900 + ["rare"] * 3 + ["middle"] * 97
    positions = choose_positions(traits(kinds), 43, 0)
    assert Counter(kinds[p] for p in positions) == {"common": 20, "middle": 20, "rare": 3}
    assert len(set(positions.tolist())) == 43
    assert fill([5, 0, 100], 8, np.random.default_rng(0)) in ([4, 0, 4], [5, 0, 3])
    assert fill([1, 1], 10, np.random.default_rng(0)) == [1, 1]


def test_lengths_are_spread_within_a_class():
    lengths = [3] * 300 + [6] * 300 + [9] * 300 + [30] * 100
    positions = choose_positions(traits(["one"] * 1000, lengths), 40, 0)
    assert Counter(lengths[p] for p in positions) == {3: 12, 6: 12, 9: 12, 30: 4}


def test_rare_combinations_of_modalities_are_lifted():
    present = np.ones((1000, 2), bool)
    present[:8, 0] = False
    positions = choose_positions(traits(["one"] * 1000, present=present), 100, 0)
    assert len(positions) == 100
    assert (~present[positions, 0]).sum() == 5


def test_lengths_fall_into_quarters():
    bins, names = length_bins(np.array([1, 2, 3, 4, 5, 6, 7, 8]))
    assert names == ["1-2", "3-4", "5-6", "7-8"]
    assert bins.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    bins, names = length_bins(np.array([7, 7, 7, 7, 9]))
    assert names == ["7", "9"]
    assert bins.tolist() == [0, 0, 0, 0, 1]


def test_scenarios_never_leave_nothing(data):
    _, specs = data
    every = scenarios(specs)
    present = [{"image", "text"}, {"image"}] * 50
    changes = assign_scenarios(every, present)
    counts = Counter(change.name for change in changes)
    assert counts == {"all": 80, "without_image": 5, "without_text": 5, "empty_text": 5, "longest_text": 5}
    for change, there in zip(changes, present, strict=True):
        assert change.name == "all" or change.modality in there
        assert not change.name.startswith("without_") or len(there) == 2
    assert {change.name for change in assign_scenarios(every, present[:4])} == {"all"}


def test_kinds_of_several_labels_and_of_numbers():
    samples = [
        Sample(str(number), {"image": b""}, np.array(target, np.int32))
        for number, target in enumerate([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
    ]
    task = MultilabelSpec(("a", "b", "c"), (0.5, 0.5, 0.5))
    found = read_traits(samples, {}, task)
    assert [kind.split(",")[0] for kind in found.kinds] == ["b", "a", "a", "none", "c"]
    assert found.lengths["objects"].tolist() == [2, 1, 1, 0, 3]
    number = RegressionSpec(("price", "days"), ("EUR", "d"), (0.0, 0.0), (1.0, 1.0), 0.1)
    numbers = [Sample(str(n), {}, np.array([1000 * n, n / 10], "float32")) for n in range(10)]
    assert number.classes_of(numbers[0].target) == []
    assert set(Counter(read_traits(numbers, {}, number).kinds).values()) == {2}
