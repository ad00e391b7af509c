"""Trains a pipeline in processes of its own, and compares what came of it."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.core.errors import TrainingError

__all__ = ["Difference", "largest_difference", "layer_weights", "samples_per_second", "start_workers", "train"]


@dataclass(frozen=True)
class Difference:
    """Where the weights of two runs differ most."""

    relative: float
    """Largest difference within a layer, over the largest weight of that layer."""
    layer: str
    """The layer."""


def train(arguments: Sequence[str], log: Path, cores: Collection[int] = ()) -> None:
    """Run a pipeline to its end.

    Args:
        arguments: module and options, for example ``["pipelines.vqa", "--skip_export"]``.
        log: where its output goes.
        cores: the cores it may use; all when empty.

    Raises:
        TrainingError: it failed; its last lines are in the message.
    """
    pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    with log.open("wb") as output:
        status = subprocess.run(
            [sys.executable, "-m", *arguments], stdout=output, stderr=subprocess.STDOUT, preexec_fn=pin, check=False
        ).returncode
    if status:
        last = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])
        raise TrainingError(f"python -m {' '.join(arguments)} ended with status {status}:\n{last}")


def start_workers(arguments: Sequence[str], logs: Sequence[Path]) -> list[subprocess.Popen[bytes]]:
    """Start a pipeline's workers as a scheduler would, with nothing that watches them.

    Args:
        arguments: module and options.
        logs: of every worker.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in logs]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    workers = []
    for rank, log in enumerate(logs):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": rank}}
        with log.open("wb") as output:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", *arguments],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
                )
            )
    return workers


def layer_weights(run: Path) -> dict[str, np.ndarray]:
    """Return the weights of every layer in a run's checkpoint, as one vector each; not the optimizer's."""
    import h5py

    (checkpoint,) = (run / "checkpoints").glob("step-*")
    found: dict[str, list[np.ndarray]] = {}

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.startswith("layers/") and item.dtype.kind == "f":
            found.setdefault(name.partition("/vars/")[0], []).append(item[()].ravel())

    with h5py.File(checkpoint / "state.weights.h5") as file:
        file.visititems(add)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def largest_difference(first: Path, second: Path) -> Difference:
    """Compare the last checkpoints of two runs.

    A layer is compared as a whole: a bias whose gradient is zero by nature (of keys in attention, of what is normalised
    again) holds nothing but rounding, and has no size of its own to compare with.

    Raises:
        TrainingError: the runs do not have the same layers.
    """
    ours, theirs = layer_weights(first), layer_weights(second)
    if ours.keys() != theirs.keys():
        raise TrainingError(f"{first} and {second} have other layers: {sorted(ours.keys() ^ theirs.keys())}")
    differences = [
        Difference(float(np.abs(value - theirs[name]).max() / np.abs(value).max()), name)
        for name, value in ours.items()
    ]
    return max(differences, key=lambda each: each.relative)


def samples_per_second(run: Path) -> float:
    """Return the median of what TensorBoard was told, without the first record, in which the step is still traced."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "train"), {"tensors": 0}).Reload().Tensors("speed/samples_per_second")
    return statistics.median(float(tf.make_ndarray(event.tensor_proto)) for event in events[1:])
