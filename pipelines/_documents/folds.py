"""A model for each fold of a set that is too small for one test split; together they answer every document."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.components import Choice
from mmkeras.core.console import Console
from mmkeras.evaluation.predict import predict
from mmkeras.storage.files import write_json
from mmkeras.tasks._words import words_read
from pipelines._documents.fields import counts_of, fields_of

if TYPE_CHECKING:
    from mmkeras.evaluation.samples import Samples
    from mmkeras.training.run import Run
    from pipelines._stages.contract import Evaluated

__all__ = ["counts_of_folds", "field_counts"]

_COUNTS = "counts.json"
"""Marks a fold as finished."""


def counts_of_folds(done: Evaluated, folds: int) -> np.ndarray:
    """Return `field_counts` of the test splits of all folds; finished folds are not trained again.

    The run's own model answers its fold. The others are trained with the settings of the run.
    """
    own = int(done.config.data.source.options.get("fold", 0))
    counts = [field_counts(done.run, done.model, done.samples)]
    for fold in range(folds):
        if fold != own:
            done.console.print(f"fold {fold + 1} of {folds}: training", highlight=False)
            counts.append(_fold(done, fold, done.run.folder / "folds" / str(fold)))
    return np.concatenate(counts)


def field_counts(run: Run, model: Any, samples: Samples) -> np.ndarray:
    """Return what a model finds of the key fields of each receipt, see `counts_of`."""
    outputs = predict(model, samples, run.specs, batch_size=32)
    found = fields_of(run.task, run.specs[words_read(run.task)], samples.raw, outputs)
    truth = [{field: str(samples.columns[field][row]) for field in found[row]} for row in range(len(samples))]
    return counts_of(found, truth)


def _fold(done: Evaluated, fold: int, folder: Path) -> np.ndarray:
    from mmkeras.core.errors import DataError
    from mmkeras.core.typed import read_json
    from mmkeras.data.convert import convert
    from mmkeras.evaluation.samples import read
    from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
    from mmkeras.training.environment import prepare
    from mmkeras.training.fit import fit
    from mmkeras.training.resolve import resolve
    from mmkeras.training.run import Run

    if (folder / _COUNTS).is_file():
        return np.array(read_json(folder / _COUNTS, DataError, "Remove it.")["counts"], np.int64)
    quiet, before = Console(quiet=True), done.config
    options = {**before.data.source.options, "fold": fold}
    data = dataclasses.replace(before.data, source=Choice(before.data.source.name, options))
    config = dataclasses.replace(before, data=data, model=_unresolved(before.model, done.run.folder))
    decided = prepare(config.train)
    index = convert(config.data, specs_before_data(config.model), task_config(config.model), quiet)
    folder.mkdir(parents=True, exist_ok=True)
    config = resolve(config, index, folder)
    specs, task = modality_specs(config.model), task_spec(config.model)
    run = Run.create(folder, config, specs, task, index, decided, latest=False)
    fit(build_model(config.model), run, config, index, console=quiet)
    counts = field_counts(run, run.model(), read(index, "test", run.specs, run.task, batch_size=32))
    write_json(folder / _COUNTS, {"counts": counts.tolist()})
    return counts


def _unresolved(model: Any, folder: Path) -> Any:
    """Return a model's configuration without a vocabulary that was learned from the training documents of the run."""
    learned = model.document.vocabulary and folder.resolve() in Path(model.document.vocabulary).resolve().parents
    return dataclasses.replace(model, document=dataclasses.replace(model.document, vocabulary="")) if learned else model
