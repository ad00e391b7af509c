"""Stops training at once when the loss is not finite, and reports the batch and its most suspicious samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmkeras.core.errors import TrainingError
from mmkeras.data.index import Index
from mmkeras.data.streams import Position, batch_keys
from mmkeras.storage.privacy import redaction
from mmkeras.training.batches import training_batches
from mmkeras.training.checkpoints import Checkpoints, Diverged
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.objective import Objective
from mmkeras.training.run import Run
from mmkeras.training.stages import Stage

__all__ = ["FiniteLoss", "explain", "save_batch"]

_SHOWN = 5


class FiniteLoss(keras.callbacks.Callback):
    """Raises `Diverged` after the first step whose loss is not finite; it must precede the given `Checkpoints`."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._checkpoints = checkpoints

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Check the loss, which is the same on all workers."""
        if logs and not np.isfinite(float(logs["loss"])):
            raise Diverged(self._checkpoints.state.step + 1)


def save_batch(
    model: keras.Model,
    stage: Stage,
    index: Index,
    cluster: Cluster,
    step: int,
    steps_per_epoch: int,
    objective: Objective | None = None,
) -> Path:
    """Recompute the batch of a step, and write it into the stage's folder.

    The file has ``keys`` (B,), ``inputs/<tensor>``, ``targets/<output>`` and ``weights`` (B,). For an input that
    ``privacy.redact`` hides, it has only ``finite/<tensor>`` bool (B,).
    If the stage has a checkpoint and trains on one device, the file also has ``outputs_finite/<output>`` bool (B,) and
    ``losses`` (B,), computed with the weights of the checkpoint. They are the losses of single samples or, with
    ``whole``, the losses that a hook computes for each sample in the whole batch. If the loss has no values per sample,
    ``influences`` (B,) replaces them: the contribution of each sample.

    The weights of the checkpoint are loaded into ``model``. ``step`` counts from 1. ``objective`` is from
    `mmkeras.training.compiling.compile_model`. Each worker of a cluster writes its own part.
    """
    config, folder = stage.config, stage.folder
    batches = training_batches(index, stage, cluster, step=step - 1, steps_per_epoch=steps_per_epoch, clock=None)
    parts = list(batches.take(cluster.replicas_here).as_numpy_iterator())
    inputs, targets, weights = keras.tree.map_structure(lambda *each: np.concatenate(each), *parts)
    at = Position(
        config.train.batch_size // cluster.workers, config.train.seed, step - 1, cluster.workers, cluster.rank
    )
    now = redaction()
    found: dict[str, np.ndarray] = {
        "keys": np.array([now.name(key) for key in batch_keys(index, config.data, at)]),
        "weights": weights,
        **_shown(inputs, stage.run),
        **{f"targets/{name}": value for name, value in targets.items()},
    }
    if cluster.strategy is None and list((folder / "checkpoints").glob("step-*")):
        Checkpoints.load(folder, model)
        found |= _losses(model, inputs, targets, weights, objective)
    if objective is not None and objective.of_the_batch:
        found["whole"] = np.array(True)
    path = folder / f"diverged-{step:08d}{f'-worker-{cluster.rank}' if cluster.members else ''}.npz"
    aside = path.with_name(f".{path.name}.tmp.npz")
    np.savez_compressed(aside, **found)  # type: ignore[arg-type]
    os.replace(aside, path)
    return path


def _shown(inputs: dict[str, np.ndarray], run: Run) -> dict[str, np.ndarray]:
    """Return the inputs as ``privacy.redact`` allows them to be written; token ids count as text."""
    now = redaction()
    texts = {tensor.name for spec in run.specs.values() if spec.kind == "text" for tensor in spec.tensors}
    hidden = set(inputs) if now.everything else texts if now.texts else set()
    return {
        **{f"inputs/{name}": value for name, value in inputs.items() if name not in hidden},
        **{f"finite/{name}": _finite(inputs[name]) for name in inputs if name in hidden},
    }


def explain(path: Path, step: int, epoch: int) -> TrainingError:
    """Return the error that names the batch, in a file from `save_batch`, and its most suspicious samples."""
    with np.load(path, allow_pickle=False) as file:
        batch = {name: file[name] for name in file.files}
    keys = [str(key) for key in batch["keys"]]
    shown = os.path.relpath(path)
    lines = [
        f"The loss stopped being a finite number in step {step} (epoch {epoch}). The batch of that step is in {shown}.",
        *(["Inputs that privacy.redact hides are not in it."] if any(n.startswith("finite/") for n in batch) else []),
        *_suspects(batch, keys),
        "Inspect it:",
        f"  python -c \"import numpy; b = numpy.load('{shown}'); print(b.files); print(b['keys'])\"",
        "Correct or leave out the samples, lower train.learning_rate, or set train.clip_norm.",
    ]
    return TrainingError("\n".join(lines))


def _suspects(batch: dict[str, np.ndarray], keys: Sequence[str]) -> list[str]:
    """Return lines about the samples with numbers that are not finite, or else about those with the largest losses."""
    wrong: dict[str, list[str]] = {}
    for name, values in batch.items():
        if name in ("keys", "losses", "influences", "whole"):
            continue
        finite = values if name.startswith(("finite/", "outputs_finite/")) else _finite(values)
        shown = name.replace("outputs_finite/", "outputs/").replace("finite/", "inputs/")
        for row in np.flatnonzero(~finite):
            wrong.setdefault(keys[int(row)], []).append(shown)
    if wrong:
        return [f"  {key}: not finite in {', '.join(names)}" for key, names in list(wrong.items())[:_SHOWN]]
    said = "  Its inputs, targets and weights are finite. Samples"
    name = next((each for each in ("losses", "influences") if each in batch), "")
    if not name:
        listed = ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        return [f"{said}: {listed}."]
    order = np.argsort(-np.where(np.isfinite(batch[name]), batch[name], np.inf), kind="stable")[:_SHOWN]
    how, word = " by their loss at the last checkpoint", "loss"
    if name == "influences":
        how, word = " by their contribution to the loss of the whole batch at the last checkpoint", "adds"
    elif "whole" in batch:
        how += ", which also depends on the other samples of the batch"
    rows = (f"  {keys[int(row)]}: {word} {batch[name][row]:.4g}, weight {batch['weights'][row]:.4g}" for row in order)
    return [f"{said}{how}:", *rows]


def _finite(values: np.ndarray) -> np.ndarray:
    """Return whether the numbers of each sample are finite, bool (B,)."""
    if values.dtype.kind != "f":
        return np.ones(len(values), bool)
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def _losses(
    model: keras.Model, inputs: Any, targets: Any, weights: np.ndarray, objective: Objective | None
) -> dict[str, np.ndarray]:
    """Return ``outputs_finite/<output>`` and ``losses`` or ``influences``, see `save_batch`."""
    outputs = model(inputs, training=False)
    arrays = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
    found = {f"outputs_finite/{name}": _finite(value) for name, value in arrays.items()}
    if objective is not None and objective.of_the_batch:
        rows = objective.of_samples(outputs, targets, inputs, weights)
        if rows is None:
            return {**found, "influences": objective.influences(outputs, targets, inputs, weights)}
        return {**found, "losses": rows}
    losses = []
    for row in range(len(weights)):
        one = slice(row, row + 1)
        loss = model.compute_loss(
            y={name: value[one] for name, value in targets.items()},
            y_pred={name: value[one] for name, value in outputs.items()},
            sample_weight=weights[one],
        )
        losses.append(float(keras.ops.convert_to_numpy(loss)))
    return {**found, "losses": np.array(losses, np.float32)}
