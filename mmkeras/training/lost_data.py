"""Handles shards that are damaged or missing during training: leaves records out within the limit, or stops."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.data.index import Index
from mmkeras.data.salvage import usable
from mmkeras.training.checkpoints import Checkpoints
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.run import Run
from mmkeras.training.tensorboard import Monitor

__all__ = ["LOST_DATA", "report_lost", "without_lost"]

LOST_DATA: tuple[Any, ...] = (tf.errors.DataLossError, tf.errors.NotFoundError)
"""Errors of TensorFlow for records that cannot be read."""


def without_lost(
    error: Exception,
    index: Index,
    config: RunConfig,
    cluster: Cluster,
    checkpoints: Checkpoints,
    steps_per_epoch: int,
    console: Console,
) -> Index:
    """Return the data without damaged records after one of the `LOST_DATA`, to continue training at the next step.

    Raises:
        DataError: more records are damaged than ``data.max_bad_records``, or training cannot continue. The message
            names file and offset; ``checkpoints`` has saved the state.
    """
    state = checkpoints.state
    # An epoch without its validation would have no score. Workers would have to leave out the same records at once.
    stops = cluster.members is not None or len(state.history) < state.step // steps_per_epoch
    try:
        left = usable(index, -1 if stops else config.data.max_bad_records, console)
    except DataError as lost:
        saved = checkpoints.save()
        raise DataError(f"{lost}\nThe state after step {state.step} is in {os.path.relpath(saved)}.") from None
    if left is index:
        raise DataError(
            f"{index.folder}: a record could not be read ({str(error).splitlines()[0]}), but all records can be read "
            "now. Check the disk or the network, and continue with --resume"
        ) from None
    return left


def report_lost(index: Index, run: Run, watching: Sequence[object]) -> None:
    """Write the damaged records to run.json, and their number to TensorBoard by the `Monitor` among the callbacks."""
    if not index.damaged:
        return
    run.note_damaged(index)
    for each in watching:
        if isinstance(each, Monitor):
            each.note_damaged(len(index.damaged))
