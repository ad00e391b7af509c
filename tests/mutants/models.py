"""Other weights of the subject's architecture: other trainings, other epochs, no training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["SNAPSHOTS", "convert_all", "source_with", "train_other"]

SNAPSHOTS = 10
"""Honest models of one training, half an epoch apart, after it has learnt."""
_LEARNT = 0.97
"""Validation accuracy from which on a snapshot is taken."""


def source_with(source: Source, weights: list[np.ndarray]) -> Source:
    """Return the subject with other weights; the evaluation of its run is not theirs."""
    import keras

    model = keras.models.clone_model(source.model)
    model.set_weights(weights)
    return dataclasses.replace(source, model=model, metrics={})


def load(path: Path) -> list[np.ndarray]:
    """Return the weights that a file of `save` holds."""
    with np.load(path) as given:
        return [given[f"{index}"] for index in range(len(given.files))]


def save(path: Path, weights: list[np.ndarray]) -> None:
    """Write weights in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp.npz")
    np.savez(aside, **{f"{index}": array for index, array in enumerate(weights)})  # type: ignore[arg-type]
    aside.replace(path)


def train_other(source: Source, seed: int, folder: Path, *, snapshots: int = SNAPSHOTS, epochs: int = 30) -> list[Path]:
    """Train the architecture from another seed and keep snapshots, unless they are there.

    Args:
        source: the subject.
        seed: of weights and order.
        folder: where the snapshots go.
        snapshots: how many.
        epochs: after so many the training gives up.

    Raises:
        RuntimeError: the training did not learn.
    """
    paths = [folder / f"seed-{seed}-{index}.npz" for index in range(snapshots)]
    if all(path.exists() for path in paths):
        return paths
    import keras

    keras.utils.set_random_seed(seed)
    model = keras.models.clone_model(source.model)
    train, validation = (_arrays(source, split) for split in ("train", "validation"))
    # The peak rate falls once the task is learnt, as in the subject's own training.
    optimizer = keras.optimizers.AdamW(3e-3, weight_decay=0.01, clipnorm=1.0)
    model.compile(optimizer, {"probabilities": "sparse_categorical_crossentropy"}, jit_compile=False)
    rng = np.random.default_rng(seed)
    kept = 0
    for _ in range(2 * epochs):
        inputs, targets = _half(train, rng)
        model.fit(_with_dropped(source, inputs, rng), targets, batch_size=32, shuffle=False, verbose=0)
        decided = model.predict(validation[0], batch_size=256, verbose=0)["probabilities"].argmax(-1)
        if (decided == validation[1]).mean() >= _LEARNT:
            optimizer.learning_rate = 1e-3
            save(paths[kept], model.get_weights())
            kept += 1
            if kept == len(paths):
                return paths
    raise RuntimeError(f"Seed {seed}: {kept} of {len(paths)} snapshots after {epochs} epochs.")


def special(source: Source, name: str, folder: Path) -> Path:
    """Return the file with the weights of a model that no honest export has; made when missing.

    Args:
        source: the subject.
        name: ``untrained``, ``fresh-norms`` or ``later`` (the subject, trained on for half an epoch).
        folder: where it goes.
    """
    path = folder / f"{name}.npz"
    if path.exists():
        return path
    import keras

    keras.utils.set_random_seed(7)
    model = keras.models.clone_model(source.model)
    if name != "untrained":
        model.set_weights(source.model.get_weights())
    if name == "fresh-norms":
        for variable in model.weights:
            if variable.path.endswith(("moving_mean", "moving_variance")):
                variable.assign(np.full(variable.shape, float(variable.path.endswith("variance"))))
    if name == "later":
        optimizer = keras.optimizers.AdamW(3e-4, weight_decay=0.01, clipnorm=1.0)
        model.compile(optimizer, {"probabilities": "sparse_categorical_crossentropy"}, jit_compile=False)
        inputs, targets = _half(_arrays(source, "train"), np.random.default_rng(7))
        model.fit(inputs, targets, batch_size=32, verbose=0)
    save(path, model.get_weights())
    return path


def convert_all(source: Source, folder: Path, config: Any) -> dict[tuple[str, str], str]:
    """Write a model in every format and precision, without a verification, unless that was done.

    Returns:
        What could not be converted, and why, by format and precision.
    """
    from export.formats import Job, plan

    problems = {}
    work = folder / ".work"
    work.mkdir(parents=True, exist_ok=True)
    job = Job(source, work, config)
    for format, precisions in plan(config.formats, config.precisions):
        for precision in precisions:
            path = folder / f"{source.name}.{precision}{format.suffix}" if format.suffix else folder / format.name
            if path.exists():
                continue
            try:
                format.convert(job, precision, path)
            except Exception as error:  # a faulty model may be one that no converter takes
                problems[format.name, precision] = f"{type(error).__name__}: {error}"
    return problems


def _arrays(source: Source, split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    from export.verification.scenarios import ALL, Scenario, ScenarioInputs
    from mmkeras.data.read import iterate_samples

    if source.index is None:
        samples: list[Any] = list(source.training)
    else:
        samples = list(iterate_samples(source.index, split))
    inputs = ScenarioInputs(source.specs, [dict(sample.values) for sample in samples]).inputs(Scenario(ALL))
    return inputs, np.stack([np.asarray(sample.target) for sample in samples])


def _half(
    data: tuple[dict[str, np.ndarray], np.ndarray], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    order = rng.permutation(len(data[1]))[: len(data[1]) // 2]
    return {name: array[order] for name, array in data[0].items()}, data[1][order]


def _with_dropped(source: Source, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Drop one modality of every tenth sample."""
    result = {name: array.copy() for name, array in inputs.items()}
    names = list(source.specs)
    chosen = rng.integers(0, 10 * len(names), len(next(iter(inputs.values()))))
    for index, name in enumerate(names):
        spec = source.specs[name]
        for tensor, value in spec.absent().items():
            result[tensor][chosen == index] = value
        result[spec.present.name][chosen == index] = 0
    return result
