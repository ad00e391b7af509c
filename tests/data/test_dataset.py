from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data import Index, convert
from mmkeras.data.dataset import eval_dataset, train_dataset
from mmkeras.data.read import read_samples
from mmkeras.data.transforms import drop_modalities, zero_missing
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import SIZE, good_rows, modality_configs, table_config, write_csv, write_images

pytestmark = pytest.mark.tfio

CACHES = ("memory", "disk", "none")
AUGMENTED = {"flip": True, "brightness": 0.1, "translate": 0.1}


@dataclass(frozen=True)
class Data:
    index: Index
    specs: dict[str, ModalitySpec]
    configs: dict[str, Any]
    task: TaskSpec

    def train(self, **options: Any) -> tf.data.Dataset:
        options = {"batch_size": 8, "seed": 3, "shuffle_buffer": 16, **options}
        return train_dataset(self.index, self.specs, self.configs, self.task, **options)

    def evaluate(self, split: str, **options: Any) -> tf.data.Dataset:
        return eval_dataset(self.index, split, self.specs, self.task, **{"batch_size": 8, **options})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    rows = good_rows(write_images(folder, 10), 60)
    for n, row in enumerate(rows):
        row["weight"] = n + 1
        row["split"] = "test" if n >= 50 else "validation" if n >= 41 else "train"
        if n % 10 == 3:
            row["file" if n % 20 == 3 else "question"] = ""
    options = {"weight": "weight", "split": "split", "missing": "absent"}
    config = table_config(write_csv(folder / "t.csv", rows), folder / "out", options, samples_per_shard=9)
    configs = modality_configs(folder, **AUGMENTED)
    index = convert(config, configs, TaskConfig())
    specs = {name: value.spec(name) for name, value in configs.items()}
    return Data(index, specs, configs, TaskConfig(labels=index.labels).spec())


def arrays(batches: Iterable[Any]) -> list[Any]:
    return [tf.nest.map_structure(lambda t: t.numpy(), batch) for batch in batches]


def assert_same(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def test_evaluation_gives_every_sample_in_order_as_the_host_prepares_it(data):
    for split in ("train", "validation", "test"):
        batches = arrays(data.evaluate(split))
        records = read_samples(data.index, split)
        assert [len(batch[2]) for batch in batches] == [
            *[8] * (len(records) // 8),
            *([len(records) % 8] if len(records) % 8 else []),
        ]
        inputs = {name: np.concatenate([batch[0][name] for batch in batches]) for name in batches[0][0]}
        targets = np.concatenate([batch[1]["probabilities"] for batch in batches])
        weights = np.concatenate([batch[2] for batch in batches])
        for n, record in enumerate(records):
            for name, spec in data.specs.items():
                for key, value in spec.inputs(record.values[name]).items():
                    np.testing.assert_allclose(inputs[key][n].astype(float), value, atol=1.0, err_msg=key)
            assert targets[n] == record.target
            assert weights[n] == record.weight
    assert_same(arrays(data.evaluate("test", cache="memory")), arrays(data.evaluate("test")))
    assert data.evaluate("test").cardinality() == 2


@pytest.mark.parametrize("cache", CACHES)
def test_shapes_are_static(data, cache):
    inputs, targets, weights = data.train(cache=cache).element_spec
    assert inputs["image"] == tf.TensorSpec((8, *SIZE, 3), tf.uint8)
    assert inputs["text_token_ids"] == tf.TensorSpec((8, 6), tf.int32)
    assert inputs["image_present"] == tf.TensorSpec((8,), tf.float32)
    assert targets == {"probabilities": tf.TensorSpec((8,), tf.int32)}
    assert weights == tf.TensorSpec((8,), tf.float32)


@pytest.mark.parametrize("cache", CACHES)
def test_a_pass_holds_every_sample_once(data, cache):
    """Weights are unique here and so name the samples."""
    samples = data.index.samples("train")
    assert samples == 41
    stream = data.train(cache=cache, batch_size=41, modality_dropout=0.0, augment=False)
    plain = arrays([next(iter(data.evaluate("train", batch_size=41)))])[0]
    order = np.argsort(plain[2])
    passes = arrays(stream.take(3))
    for batch in passes:
        mine = np.argsort(batch[2])
        assert_same([plain[2][order]], [batch[2][mine]])
        assert_same([plain[1]["probabilities"][order]], [batch[1]["probabilities"][mine]])
        for name, value in plain[0].items():
            np.testing.assert_array_equal(batch[0][name][mine], value[order], err_msg=name)
    assert not np.array_equal(passes[0][2], passes[1][2])


@pytest.mark.parametrize("cache", CACHES)
def test_a_stream_started_later_goes_on_exactly(data, cache):
    whole = arrays(data.train(cache=cache).take(14))  # more than two passes of 41 samples
    for start in (5, 11):
        rest = arrays(data.train(cache=cache, start_step=start).take(14 - start))
        assert_same(whole[start:], rest)


@pytest.mark.parametrize("cache", CACHES)
def test_only_the_seed_decides(data, cache):
    first = arrays(data.train(cache=cache).take(6))
    tf.random.set_seed(99)
    assert_same(first, arrays(data.train(cache=cache).take(6)))
    other = arrays(data.train(cache=cache, seed=4).take(6))
    assert any(not np.array_equal(a[2], b[2]) for a, b in zip(first, other, strict=True))


def test_memory_and_disk_give_the_same_batches(data):
    assert_same(arrays(data.train(cache="memory").take(8)), arrays(data.train(cache="disk").take(8)))
    made = {path: path.stat().st_mtime_ns for path in (data.index.folder / "decoded").rglob("*.npy")}
    assert len(made) == 3
    arrays(data.train(cache="disk").take(1))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert Index.load(data.index.folder) == data.index


@pytest.mark.parametrize("cache", CACHES)
def test_workers_share_a_pass_without_overlap(data, cache):
    options = {"cache": cache, "modality_dropout": 0.0, "augment": False}
    steps = 13  # 39 of 41
    seen = [
        np.concatenate([b[2] for b in arrays(data.train(**options, batch_size=1, num_shards=3, shard=n).take(steps))])
        for n in range(3)
    ]
    counts = Counter(np.concatenate(seen).tolist())
    assert set(counts.values()) == {1}
    assert len(counts) == 39


def test_augmentation_changes_pictures_and_nothing_else(data):
    plain = arrays(data.train(augment=False, modality_dropout=0.0).take(4))
    changed = arrays(data.train(modality_dropout=0.0).take(4))
    for a, b in zip(plain, changed, strict=True):
        assert (a[0]["image"] != b[0]["image"]).any()
        missing = b[0]["image_present"] == 0
        assert not b[0]["image"][missing].any()
        for name in set(a[0]) - {"image"}:
            np.testing.assert_array_equal(a[0][name], b[0][name])
        assert_same([a[1:]], [b[1:]])


def test_it_feeds_fit(data):
    import keras

    inputs = {
        name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name)
        for name, spec in data.train().element_spec[0].items()
    }
    pixels = keras.layers.Flatten()(inputs["image"])
    output = keras.layers.Dense(3, activation="softmax", name="probabilities")(
        keras.ops.cast(pixels, "float32") / 255.0
    )
    model = keras.Model(inputs, {"probabilities": output})
    model.compile("adam", {"probabilities": "sparse_categorical_crossentropy"})
    history = model.fit(
        data.train(), steps_per_epoch=3, epochs=2, validation_data=data.evaluate("validation"), shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["val_loss"]).all()


def batch_of(data: Data, count: int) -> dict[str, tf.Tensor]:
    return {
        "image": tf.ones((count, *SIZE, 3), tf.uint8),
        "text_token_ids": tf.ones((count, 6), tf.int32),
        "text_padding_mask": tf.ones((count, 6), tf.int32),
        "image_present": tf.concat([tf.zeros(count // 2), tf.ones(count - count // 2)], 0),
        "text_present": tf.ones(count),
    }


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_modality_dropout(data, rate):
    inputs = batch_of(data, 2000)
    dropped = drop_modalities(inputs, data.specs, rate, tf.constant([1, 2]))
    image, text = dropped["image_present"].numpy(), dropped["text_present"].numpy()
    assert (image + text >= 1).all(), "a sample lost all modalities"
    assert (image <= inputs["image_present"].numpy()).all(), "a missing modality came back"
    assert (text[:1000] == 1).all(), "the only modality was dropped"
    # Both drawn: one of the two stays, by chance.
    expected = 0.5 if rate == 1.0 else rate - rate**2 / 2
    assert (1 - image[1000:]).mean() == pytest.approx(expected, abs=0.05)
    assert (1 - text[1000:]).mean() == pytest.approx(expected, abs=0.05)
    # Zero where the data lacks the modality, else untouched, so that batch statistics are those of real images.
    for name in ("image", "text_token_ids", "text_padding_mask"):
        there = inputs["image_present" if name == "image" else "text_present"].numpy()
        assert (dropped[name].numpy().reshape(2000, -1) == there[:, None]).all(), name
    mapped = tf.data.Dataset.from_tensors(inputs).map(
        lambda batch: drop_modalities(batch, data.specs, rate, tf.constant([1, 2]))
    )
    assert_same([tf.nest.map_structure(lambda t: t.numpy(), dropped)], arrays(mapped))


def test_modality_dropout_begins_where_it_is_told(data):
    stream = data.train(modality_dropout=0.5, modality_dropout_start=3)
    dropped = [
        float((batch[0]["image_present"].numpy() + batch[0]["text_present"].numpy()).min())
        for batch in islice(stream, 6)
    ]
    before = [
        float((b[0]["image_present"].numpy() + b[0]["text_present"].numpy()).min())
        for b in islice(data.train(modality_dropout=0.0), 6)
    ]
    assert dropped[:3] == before[:3]
    assert min(dropped[3:]) < 2


def test_zeroing_takes_nan_away(data):
    inputs = {name: tf.cast(value, tf.float32) for name, value in batch_of(data, 4).items()}
    inputs["image"] = inputs["image"] * np.nan
    image = zero_missing(inputs, data.specs)["image"].numpy()
    assert not image[:2].any()
    assert np.isnan(image[2:]).all()


def test_specs_that_do_not_fit_the_data(data):
    with pytest.raises(DataError, match="labels"):
        eval_dataset(data.index, "test", data.specs, TaskConfig(labels=("b", "a", "c")).spec(), batch_size=8)
    other = {"front": replace(data.specs["image"], name="front")}
    with pytest.raises(DataError, match="front"):
        eval_dataset(data.index, "test", other, data.task, batch_size=8)
    with pytest.raises(DataError, match="did you mean 'test'"):
        data.evaluate("tset")
    with pytest.raises(DataError, match="shard from 0 to 1"):
        data.train(num_shards=2, shard=2)


def test_one_modality_is_enough(data):
    alone = {"text": data.specs["text"]}
    inputs, _, _ = next(iter(eval_dataset(data.index, "test", alone, data.task, batch_size=4)))
    assert set(inputs) == {"text_token_ids", "text_padding_mask", "text_present"}
    stream = train_dataset(data.index, alone, data.configs, data.task, batch_size=4, seed=0)
    assert set(next(iter(stream))[0]) == set(inputs)


def test_a_damaged_shard_is_named(data, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(data.index.folder, folder)
    shard = Path(Index.load(folder).files("test")[0])
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        list(islice(read_samples(Index.load(folder), "test"), 20))
