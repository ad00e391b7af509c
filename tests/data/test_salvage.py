"""Shards that a disk has spoilt: what is whole is read, what is not is named with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from mmkeras.core.errors import DataError
from mmkeras.data.convert import convert
from mmkeras.data.index import Index
from mmkeras.data.read import read_samples
from mmkeras.data.salvage import SALVAGED, usable
from mmkeras.data.streams import Position, batch_keys
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import good_rows, modality_configs, table_config, write_csv, write_images

pytestmark = pytest.mark.tfio


@pytest.fixture
def index(tmp_path: Path) -> Index:
    write_csv(tmp_path / "t.csv", good_rows(write_images(tmp_path, 6), 60))
    config = table_config(tmp_path / "t.csv", tmp_path / "out", samples_per_shard=20)
    return convert(config, modality_configs(tmp_path), TaskConfig())


def _offsets(path: Path) -> list[int]:
    content, offsets = path.read_bytes(), [0]
    while offsets[-1] < len(content):
        offsets.append(offsets[-1] + int.from_bytes(content[offsets[-1] :][:8], "little") + 16)
    return offsets


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _keys(index: Index, split: str = "train") -> list[str]:
    return [record.key for record in read_samples(index, split)]


def test_whole_data_stays_as_it_is(index):
    assert usable(index, 0) is index
    assert not (index.folder / SALVAGED).exists()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path, at: _flip(path, at + 30), "its content does not fit its checksum"),
        (lambda path, at: _flip(path, at + 1), "its length does not fit its checksum"),
        (lambda path, at: _flip(path, at + 9), "its length does not fit its checksum"),
    ],
    ids=["content", "length", "checksum"],
)
@pytest.mark.parametrize("record", [0, 7, 19])
def test_a_flipped_bit_costs_its_record_alone(index, harm: Callable[[Path, int], None], reason, record):
    keys, shard = _keys(index), Path(index.files("train")[0])
    at = _offsets(shard)[record]
    harm(shard, at)
    left = usable(index, 1)
    assert _keys(left) == keys[:record] + keys[record + 1 :]
    (row,) = left.damaged
    assert row.origin == f"{shard}:{at}"
    assert f"damaged at byte {at}" in row.reason
    assert reason in row.reason
    assert left.samples("train") == index.samples("train") - 1
    split = left.splits["train"]
    assert split.rows == split.samples + split.quarantined + split.left_out
    # It can be saved and taken up again, and a second look changes nothing.
    left.save(left.folder)
    assert usable(left, 1) is left
    with pytest.raises(DataError, match=rf"{shard.name}:{at}.*\n.*max_bad_records"):
        usable(index, 0)


def test_a_file_that_ends_early_loses_its_last_records(index):
    keys, shard = _keys(index), Path(index.files("train")[-1])
    offsets = _offsets(shard)
    for size, lost, reason in ((offsets[-2] - 5, 2, "ends within it"), (offsets[-3], 2, "the file ends here")):
        shard.write_bytes(shard.read_bytes()[:size])
        left = usable(index, 2)
        assert _keys(left) == keys[:-lost]
        assert len(left.damaged) == lost
        assert reason in left.damaged[0].reason
        with pytest.raises(DataError, match="accepts 1"):
            usable(index, 1)


def test_the_budget_is_of_all_splits_together(index):
    for split in ("train", "test"):
        shard = Path(index.files(split)[0])
        _flip(shard, _offsets(shard)[1] + 30)
    assert len(usable(index, 2).damaged) == 2
    with pytest.raises(DataError, match=r"2 or more records.*accepts 1"):
        usable(index, 1)


def test_a_shard_that_is_gone_is_named(index):
    shard = Path(index.files("train")[0])
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard.name}: the shard is missing"):
        usable(index, 10)


def test_damage_that_comes_later_is_added_to_what_was_left_out(index):
    first, second = (Path(file) for file in index.files("train")[:2])
    _flip(first, _offsets(first)[3] + 30)
    once = usable(index, 2)
    salvaged = Path(once.files("train")[0])
    _flip(salvaged, _offsets(salvaged)[5] + 30)
    _flip(second, _offsets(second)[2] + 30)
    with pytest.raises(DataError, match="accepts 2"):
        usable(once, 2)
    twice = usable(once, 3)
    assert len(twice.damaged) == 3
    assert twice.samples("train") == index.samples("train") - 3


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_the_samples_of_a_batch_are_named(index, tmp_path, cache):
    from mmkeras.data.dataset import train_dataset
    from mmkeras.tasks import task_from_json

    config = dataclasses.replace(table_config(tmp_path / "t.csv", tmp_path / "out"), cache=cache, shuffle_buffer=16)
    specs = {name: each.spec(name) for name, each in modality_configs(tmp_path).items()}
    task = task_from_json(index.task)
    records = {record.key: record for record in read_samples(index, "train")}
    for shard in range(2):
        data = train_dataset(
            index, specs, modality_configs(tmp_path), task, batch_size=4, seed=3, start_step=9, augment=False,
            modality_dropout=0.0, cache=cache, shuffle_buffer=16, num_shards=2, shard=shard,
        )  # fmt: skip
        inputs, targets, _ = next(iter(data))
        keys = batch_keys(index, config, Position(4, 3, 9, 2, shard))
        assert len(keys) == 4
        for row, key in enumerate(keys):
            assert next(iter(targets.values())).numpy()[row] == records[key].target
            tokens = specs["text"].preprocess(records[key].values["text"])["text_token_ids"]
            assert (inputs["text_token_ids"].numpy()[row] == tokens).all()
