"""Samples that an export verifies and chooses on: spread over classes and groups, and never the same ones."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from export.formats import Job
from export.quantization.trial import tuning_samples
from export.source import Source
from export.verification.samples import Sample, draw, groups_of, spread_rows, stratum
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ExportError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.data.index import Index
from mmkeras.model import task_config
from mmkeras.tasks.multilabel.spec import Spec as Multilabel
from tests.tasks.detection import maps
from tests.tiny import tiny_model_config


@pytest.fixture(scope="module")
def sorted_index(tmp_path_factory: pytest.TempPathFactory, easy_vqa_images: list[Path]) -> Index:
    """A table that is sorted by label: 12, 6 and 3 rows in the test split."""
    folder = tmp_path_factory.mktemp("sorted")
    labels = ["no"] * 12 + ["red"] * 6 + ["yes"] * 3
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", "question", "answer", "side"])
        for side in ("train", "validation", "test"):
            for row, label in enumerate(labels):
                rows.writerow([easy_vqa_images[row], f"what is it {side} {row}", label, side])
    model = tiny_model_config(folder, task=Choice("classification", {"labels": ["no", "red", "yes"]}))
    columns = {"image": "picture", "text": "question"}
    options = {"path": str(folder / "table.csv"), "columns": columns, "target": "answer", "split": "side"}
    data = DataConfig(source=Choice("table", options), folder=str(folder / "data"), workers=1)
    return convert(data, modality_configs(model), task_config(model))


def test_a_split_that_is_sorted_by_label_is_seen_from_end_to_end(sorted_index: Index) -> None:
    everything = draw(sorted_index, "test", 21)
    chosen = draw(sorted_index, "test", 7)
    assert Counter(int(sample.target) for sample in chosen) == {0: 4, 1: 2, 2: 1}
    keys = [sample.key for sample in everything]
    assert [sample.key for sample in chosen] == [key for key in keys if key in {sample.key for sample in chosen}]


def test_rows_have_equal_distances_and_groups_their_share() -> None:
    order = [((label,), group) for group in range(50) for label in (0, 1)]
    chosen = spread_rows(order, 20)
    assert Counter(order[row][0] for row in chosen) == {(0,): 10, (1,): 10}
    assert len({order[row][1] for row in chosen}) >= 10
    np.testing.assert_array_equal(spread_rows(order, 500), np.arange(100))
    # 999 rows for 500: not the first 500.
    assert spread_rows([((0,), row) for row in range(999)], 500).max() > 990


def test_what_samples_are_divided_by() -> None:
    task = maps.spec()
    target = task.encode({"boxes": maps.random_boxes(np.random.default_rng(0), 3)})
    assert stratum(task, target) == tuple(sorted(task.classes_of(target)))
    labels = Multilabel(labels=("a", "b"), thresholds=(0.5, 0.5))
    assert stratum(labels, labels.encode(["b"])) == (0.0, 1.0)


def with_data(source: Source, index: Index, test: list[Sample]) -> Source:
    return dataclasses.replace(source, index=index, samples=test)


def test_a_search_chooses_on_validation_samples(source: Source, sorted_index: Index) -> None:
    found, split = tuning_samples(with_data(source, sorted_index, draw(sorted_index, "test", 21)), 7)
    validation = {sample.key for sample in draw(sorted_index, "validation", 21)}
    assert split == "validation"
    assert len(found) == 7
    assert {sample.key for sample in found} <= validation
    assert {int(sample.target) for sample in found} == {0, 1, 2}


def test_nothing_is_chosen_on_what_is_verified_on(source: Source, sorted_index: Index, tmp_path: Path) -> None:
    shared = draw(sorted_index, "validation", 21)
    with pytest.raises(ExportError, match=r"21 of the 21 validation samples to choose with, such as .*test samples"):
        tuning_samples(with_data(source, sorted_index, shared), 300)
    with pytest.raises(ExportError, match="of the 64 train samples"):
        _ = Job(dataclasses.replace(source, samples=source.training[:8]), tmp_path).tuning


def test_samples_without_a_group_have_one_of_their_own() -> None:
    samples = [Sample(str(n), {}, np.array(0), group=group) for n, group in enumerate(("a", None, 7, "a", None))]
    assert groups_of(samples).tolist() == [0, 1, 2, 0, 3]
