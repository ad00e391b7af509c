"""Key fields of the receipts of all folds, each read by the model that has not seen the receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.evaluation.predict import predict
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._words import words_read
from pipelines._documents.fields import counts_of, fields_of

if TYPE_CHECKING:
    from mmkeras.evaluation.samples import Samples
    from mmkeras.modalities import ModalitySpec
    from pipelines._stages.contract import Evaluated

__all__ = ["counts_of_folds", "field_counts"]


def counts_of_folds(done: Evaluated) -> np.ndarray:
    """Return `field_counts` of the test splits of all folds, after `pipelines._stages.folds.cross_validate`."""
    from mmkeras.evaluation.samples import read
    from mmkeras.training.run import Run

    run, batch = done.run, done.config.evaluate.batch_size
    outputs = predict(done.model, done.samples, run.specs, batch_size=batch)
    counts = [field_counts(run.task, run.specs, done.samples, outputs)]
    for number in range(1, done.config.cross_validation.folds):
        fold = Run.open(run.folder / "folds" / str(number))
        samples = read(fold.index, "test", fold.specs, fold.task, batch_size=batch)
        # Kept of a fold is its evidence, which does not hold the tags of words.
        outputs = predict(fold.model(), samples, fold.specs, batch_size=batch)
        counts.append(field_counts(fold.task, fold.specs, samples, outputs))
    return np.concatenate(counts)


def field_counts(
    task: TaskSpec, specs: Mapping[str, ModalitySpec], samples: Samples, outputs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return what answers hold of the key fields of each receipt, see `counts_of`."""
    found = fields_of(task, specs[words_read(task)], samples.raw, outputs)
    truth = [{field: str(samples.columns[field][row]) for field in found[row]} for row in range(len(samples))]
    return counts_of(found, truth)
