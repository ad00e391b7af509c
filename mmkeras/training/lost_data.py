"""A shard that is damaged or vanishes while a model trains on it: left out within the budget, or named."""

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
"""What TensorFlow raises when records cannot be read."""


def without_lost(
    error: Exception,
    index: Index,
    config: RunConfig,
    cluster: Cluster,
    checkpoints: Checkpoints,
    steps_per_epoch: int,
    console: Console,
) -> Index:
    """Return the data without what is damaged, to go on with at the next step.

    Args:
        error: one of `LOST_DATA`.
        index: the data so far.
        config: its ``data.max_bad_records`` is the budget.
        cluster: several workers do not go on: each would have to leave out the same at the same step.
        checkpoints: saves the state before training ends.
        steps_per_epoch: steps of an epoch.
        console: where it is reported.

    Raises:
        DataError: beyond the budget; names file and offset.
    """
    state = checkpoints.state
    # An epoch without its validation has no score; and several workers would have to leave out the same.
    stops = cluster.members is not None or len(state.history) < state.step // steps_per_epoch
    try:
        left = usable(index, -1 if stops else config.data.max_bad_records, console)
    except DataError as lost:
        saved = checkpoints.save()
        raise DataError(f"{lost}\nThe state after step {state.step} is in {os.path.relpath(saved)}.") from None
    if left is index:
        raise DataError(
            f"{index.folder}: a record could not be read ({str(error).splitlines()[0]}); read once more, all "
            "of them can be. Look at the disk or the network, and go on with --resume"
        ) from None
    return left


def report_lost(index: Index, run: Run, watching: Sequence[object]) -> None:
    """Keep what is left out in run.json, and draw how many it is in TensorBoard; nothing where the data is whole.

    Args:
        index: the data, without what is damaged.
        run: the run's folder.
        watching: the callbacks of a process that writes, among them the one of TensorBoard.
    """
    if not index.damaged:
        return
    run.note_damaged(index)
    for each in watching:
        if isinstance(each, Monitor):
            each.note_damaged(len(index.damaged))
