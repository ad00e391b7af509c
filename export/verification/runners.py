"""Opens an exported file for verification: edge files with the device's own Runner, SavedModel with TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.to_saved_model.endpoints import SAVED_MODEL, TENSOR_ENDPOINT
from export.verification.passes import BATCH, Infer
from mmkeras.core.errors import require
from mmkeras.runtime.runner import runners

__all__ = ["Opened", "open_saved_model", "opened"]


@dataclass(frozen=True)
class Opened:
    """A loaded file."""

    infer: Infer
    size: int
    """Samples in a batch: one for an edge file, as on a device."""
    batched: bool
    """Whether an edge file also takes larger batches, which are then verified, too: an int8-dynamic file scales its
    activations over the whole batch, so that the samples of a batch influence each other."""


@contextmanager
def opened(format: str, path: Path) -> Iterator[Opened]:
    """Load a file: a ``saved_model`` folder, or a format that `mmkeras.runtime` has a runner for."""
    if format == SAVED_MODEL:
        yield Opened(open_saved_model(path), BATCH, batched=False)
        return
    with runners()[format](path, threads=min(4, os.cpu_count() or 1)) as runner:
        yield Opened(runner.infer, runner.batch or 1, batched=runner.batch is None)


def open_saved_model(path: Path, endpoint: str = TENSOR_ENDPOINT) -> Infer:
    """Load a SavedModel and return one endpoint as a function of numpy arrays."""
    import tensorflow as tf

    require("tensorflow_text", "train")
    loaded = tf.saved_model.load(str(path))

    def infer(inputs: dict[str, Any]) -> Mapping[str, Any]:
        # Through `loaded`, which has to stay alive: a signature alone does not keep its variables.
        signature = loaded.signatures[endpoint]
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items() if value.dtype != tf.string}

    return infer
