"""Answers for the words of a value: with their texts and boxes, and for values of more words than the model takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.modalities import ModalitySpec
from mmkeras.modalities._words import WordSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._words import WordTask

__all__ = ["WordInputs", "answer_words"]


class WordInputs(dict[str, np.ndarray]):
    """Model inputs of one sample (1, ...) by name, with the raw values that they are made of."""

    def __init__(self, inputs: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        super().__init__(inputs)
        self.values_of = dict(values)
        """Raw value by modality."""


def answer_words(
    task: WordTask,
    specs: Mapping[str, ModalitySpec],
    samples: Sequence[Mapping[str, np.ndarray]],
    outputs: Outputs,
    infer: Callable[[dict[str, np.ndarray]], Outputs],
) -> list[dict[str, Any]]:
    """Return the answers to samples with the texts and boxes of their words.

    A value with more words than the model takes is answered in overlapping windows: each word has the output of the
    window in which it is most central.

    Args:
        task: the task.
        specs: modality specs by name.
        samples: inputs of each sample; only those of the type `WordInputs` have raw values.
        outputs: of the first words of each sample, (B, N, ...) by name; all windows of a longer one are run.
        infer: runs the model.
    """
    answers = task.decode(outputs)
    spec = specs[task.reads]
    for place, sample in enumerate(samples):
        value = sample.values_of.get(task.reads) if isinstance(sample, WordInputs) else None
        if value is None or not isinstance(spec, WordSpec):
            continue
        words = spec.words_of(value)
        windows = spec.windows(value)
        if len(windows) > 1:
            parts = [infer({**sample, **_inputs(spec, part)}) for _, part in windows]
            counts = [len(spec.words_of(part)) for _, part in windows]
            whole = task.joined(parts, [start for start, _ in windows], counts)
            answers[place] = task.decode(whole)[0]
        answers[place] = task.quoted(answers[place], words)
    return answers


def _inputs(spec: ModalitySpec, value: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)[None] for name, array in spec.inputs(value).items()}
