"""Shards that are damaged, or gone, when a training comes to them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmkeras.core.errors import DataError
from mmkeras.data.index import Index
from mmkeras.model import build_model
from mmkeras.training.checkpoints import Checkpoints
from mmkeras.training.cluster.connect import ALONE
from mmkeras.training.lost_data import report_lost, without_lost
from mmkeras.training.tensorboard import Monitor
from tests.training.tiny_run import TinyRun, start


def _flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)


def _lost(tiny: TinyRun, most: int) -> tuple[Index, Checkpoints]:
    checkpoints = Checkpoints(tiny.run.folder, "val_loss", -1)
    checkpoints.set_model(build_model(tiny.config.model))
    data = dataclasses.replace(tiny.config.data, max_bad_records=most)
    config, error = dataclasses.replace(tiny.config, data=data), tf.errors.DataLossError(None, None, "corrupted at 7")
    return without_lost(error, tiny.index, config, ALONE, checkpoints, 5, tiny.console), checkpoints


def _told(tiny: TinyRun) -> None:
    """Hold what the user is told in the terminal, in run.json and in TensorBoard."""
    shard = Path(tiny.index.files("train")[0]).name
    assert "1 damaged records are left out" in tiny.said
    assert f"{shard}:0: damaged at byte 0 of the shard" in tiny.said
    (noted,) = json.loads((tiny.run.folder / "run.json").read_text())["damaged_records"]
    assert f"{shard}:0: damaged at byte 0" in noted
    # What an evaluation takes over into metrics.json.
    assert tiny.run.provenance["damaged_records"] == [noted]
    events = EventAccumulator(str(tiny.run.folder / "train"), {"tensors": 0}).Reload()
    (event,) = events.Tensors("data/damaged_records")
    assert float(tf.make_ndarray(event.tensor_proto)) == 1


def test_a_damaged_record_is_left_out_and_everyone_is_told(tmp_path):
    tiny = start(tmp_path, _flip)
    index, _ = _lost(tiny, 1)
    assert index.samples("train") == tiny.index.samples("train") - 1
    monitor = Monitor(tiny.run.folder, tiny.config, None)
    report_lost(index, tiny.run, [monitor])
    monitor.on_train_end()
    _told(tiny)


def test_nothing_is_said_of_whole_data(tmp_path):
    tiny = start(tmp_path)
    before = (tiny.run.folder / "run.json").read_text()
    report_lost(tiny.index, tiny.run, [])
    assert (tiny.run.folder / "run.json").read_text() == before


@pytest.mark.parametrize("harm", [_flip, Path.unlink], ids=["damaged", "gone"])
def test_beyond_the_budget_the_state_is_saved_and_the_file_named(tmp_path, harm):
    tiny = start(tmp_path, harm)
    shard = Path(tiny.index.files("train")[0]).name
    with pytest.raises(DataError, match=rf"(?s){shard}.*The state after step 0 is in .*step-00000000"):
        _lost(tiny, 0)
    assert (tiny.run.folder / "checkpoints" / "step-00000000" / "state.weights.h5").is_file()


def test_what_can_be_read_again_is_no_lost_data(tmp_path):
    with pytest.raises(DataError, match=r"corrupted at 7\), but all records can be read now"):
        _lost(start(tmp_path), 1)


@pytest.mark.slow
def test_a_training_goes_on_without_the_record(tmp_path):
    tiny = start(tmp_path, _flip)
    tiny.fit()
    _told(tiny)
    (state,) = tiny.run.folder.glob("checkpoints/*/state.json")
    assert len(json.loads(state.read_text())["history"]) == 2
