"""Targets of every kind from the source to ``fit``: a mask, tags of words, and two by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data import Index, convert, features
from mmkeras.data.arrays import load_arrays
from mmkeras.data.dataset import train_dataset
from mmkeras.data.features import rows_at_once
from mmkeras.data.read import read_samples, read_targets
from mmkeras.evaluation.samples import read
from mmkeras.modalities import specs_of
from mmkeras.tasks import TargetSpec, TaskSpec
from tests.data.tables import SIZE, good_rows, modality_configs, table_config, write_csv, write_images
from tests.toys import components

pytestmark = pytest.mark.tfio


LABELS = tuple(f"class {number}" for number in range(20))
OPTIONS = {"segmentation": {"labels": LABELS}}


class Converted:
    """A table of pictures, texts and targets, converted for a toy task."""

    def __init__(self, folder: Path, task: str, target: Any, rows: list[dict[str, Any]], **image: Any) -> None:
        for n, row in enumerate(rows):
            row["split"] = "test" if n >= 30 else "train"
        options = {"target": target, "split": "split"}
        self.config = table_config(write_csv(folder / "t.csv", rows), folder / "out", options)
        self.configs = modality_configs(folder, **image)
        own = find("tasks", task, "spec").Config(**OPTIONS.get(task, {}))
        self.index = convert(self.config, self.configs, own)
        self.specs = specs_of(self.configs)
        self.task: TaskSpec = own.spec(self.specs)

    def train(self, **options: Any) -> tf.data.Dataset:
        options = {"batch_size": 6, "seed": 3, "modality_dropout": 0.0, **options}
        return train_dataset(self.index, self.specs, self.configs, self.task, **options)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    with components("tasks"):
        yield good_rows(write_images(tmp_path, 6), 36)


@pytest.fixture
def masks(tmp_path: Path, rows: list[dict[str, Any]]) -> Converted:
    """Masks that follow from the red of their pictures, so that a picture shows how its mask was moved."""
    for number in range(6):
        mask = np.random.default_rng(number).integers(0, 20, SIZE).astype(np.uint8)
        Image.fromarray(np.repeat(mask[..., None] * 13, 3, axis=2)).save(tmp_path / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / f"mask{number}.png")
    for row in rows:
        row["mask"] = str(tmp_path / f"mask{row['file']}")
    return Converted(tmp_path, "segmentation", "mask", rows, flip=True, translate=0.2)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_a_mask_moves_with_its_picture(masks: Converted, cache: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "BATCH_BYTES", 2**12)  # so that the disk cache holds masks
    seen = set()
    for inputs, target, _ in masks.train(cache=cache).take(4):
        assert (target["mask"].dtype, target["mask"].shape) == (tf.uint8, (6, *SIZE))
        np.testing.assert_array_equal(inputs["image"][..., 0] // 13, target["mask"])
        seen |= {mask.numpy().tobytes() for mask in target["mask"]}
    assert len(seen) > 12  # of six pictures
    files = list((masks.index.folder / "decoded").glob("train-targets-*/mask.npy"))
    assert len(files) == (cache == "disk")


def test_masks_train_a_step(masks: Converted):
    element = masks.train().element_spec[0]
    inputs = {name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name) for name, spec in element.items()}
    pixels = keras.ops.cast(inputs["image"], "float32") / 255.0
    model = keras.Model(inputs, {"mask": keras.layers.Conv2D(20, 1, activation="softmax", name="mask")(pixels)})

    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred), axis=(1, 2))

    model.compile("adam", {"mask": loss})
    history = model.fit(masks.train(), steps_per_epoch=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_masks_are_evaluated_in_their_own_dtype(masks: Converted):
    samples = read(masks.index, "test", masks.specs, masks.task)
    assert (samples.targets.dtype, samples.targets.shape) == (np.uint8, (6, *SIZE))
    perfect = {"mask": np.eye(20, dtype=np.float32)[samples.targets]}
    assert set(masks.task.score(samples.targets, perfect).values()) == {1.0}
    assert masks.index.targets == {"mask": "uint8 [16, 24] png"}
    assert masks.index.labels == LABELS
    assert set(masks.index.splits["train"].classes) == set(LABELS)


def test_a_mask_of_another_size_is_mirrored_but_not_shifted(masks: Converted):
    task = find("tasks", "segmentation", "spec").Config(LABELS, size=(8, 12)).spec()
    index = replace(masks.index, task=task.to_json(), targets={"mask": str(task.target)})
    with pytest.raises(ConfigError, match=r"model\.image\.translate: the target mask cannot follow: it has \(8, 12\)"):
        train_dataset(index, masks.specs, masks.configs, task, batch_size=2, seed=0)
    configs = {**masks.configs, "image": replace(masks.configs["image"], translate=0.0)}
    train_dataset(index, masks.specs, configs, task, batch_size=2, seed=0, cache="none")


def test_a_mask_of_another_size_of_the_picture_is_converted_again(masks: Converted):
    task = find("tasks", "segmentation", "spec").Config(LABELS)
    assert convert(masks.config, masks.configs, task) == masks.index
    smaller = {**masks.configs, "image": replace(masks.configs["image"], size=(8, 12))}
    assert convert(masks.config, smaller, task).targets == {"mask": "uint8 [8, 12] png"}


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_two_targets_by_name(tmp_path: Path, rows: list[dict[str, Any]], cache: str):
    for n, row in enumerate(rows):
        row |= {"x": n / 4, "y": -n}
    found = Converted(tmp_path, "two_targets", ["label", "x", "y"], rows)
    target = next(iter(found.train(cache=cache)))[1]
    assert {name: (value.dtype, value.shape) for name, value in target.items()} == {
        "what": (tf.int32, (6,)),
        "where": (tf.float32, (6, 2)),
    }
    records = read_samples(found.index, "test")
    assert [int(record.target["what"]) for record in records] == [n % 3 for n in range(30, 36)]
    np.testing.assert_array_equal(records[1].target["where"], np.array([31 / 4, -31], np.float32))
    (batch,) = read_targets(found.index, "train")
    assert (len(batch), batch.dtype.names) == (30, ("what", "where"))


def test_two_targets_are_evaluated_by_name(tmp_path: Path, rows: list[dict[str, Any]]):
    for n, row in enumerate(rows):
        row |= {"x": n / 4, "y": -n}
    found = Converted(tmp_path, "two_targets", ["label", "x", "y"], rows)
    samples = read(found.index, "test", found.specs, found.task)
    assert samples.take(np.array([4, 0])).targets["what"].tolist() == [34 % 3, 0]
    outputs = {"what": np.eye(3)[samples.targets["what"]], "where": samples.targets["where"] + 1}
    assert found.task.score(samples.targets, outputs) == {"accuracy": 1.0, "mae": 1.0}


def test_caches_hold_targets_in_their_own_dtype(masks: Converted):
    arrays = load_arrays(masks.index, "train", masks.specs, masks.task)
    assert (arrays.targets["mask"].dtype, arrays.targets["mask"].shape) == (np.uint8, (30, *SIZE))


def test_large_targets_are_read_few_at_once(masks: Converted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "BATCH_BYTES", 5 * SIZE[0] * SIZE[1])
    assert rows_at_once(masks.task.targets, 1000) == 5
    assert [len(batch) for batch in read_targets(masks.index, "train")] == [5] * 6
    assert rows_at_once([TargetSpec("huge", (2**20,), "float64")], 1000) == 1


def test_data_with_targets_in_another_encoding_is_refused(masks: Converted):
    other = replace(masks.index, targets={"mask": "uint8 [16, 24] raw"})
    with pytest.raises(DataError, match=r"hold the targets .*raw.*, the task segmentation has .*png.*Convert again"):
        train_dataset(other, masks.specs, masks.configs, masks.task, batch_size=2, seed=0)
    with pytest.raises(DataError, match="its index names the targets"):
        read_samples(other, "train")


def test_data_of_an_earlier_format_is_refused_with_what_to_do(masks: Converted):
    path = masks.index.folder / "index.json"
    path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(DataError, match=r"format 2, this version reads 3.*convert again"):
        Index.load(masks.index.folder)
