"""Pictures of the attention of a model with cross-attention or attention pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmkeras.evaluation.examples import answers, truths
from mmkeras.evaluation.modules import review_of
from mmkeras.evaluation.pictures.attention import attention_figure
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.model import attention_model
from mmkeras.tasks import TaskSpec

__all__ = ["attention_figures"]

_POOLING = "fusion_pooling"
_FUSIONS = ("fusion_cross", _POOLING)
"""Beginnings of the names of layers whose attention is drawn."""


def attention_figures(
    model: Any,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    positions: list[int],
    query: str = "",
) -> dict[str, Figure]:
    """Draw the attention of the last cross-attention layer, or of the pooling, over the first image modality.

    Args:
        model: from `build_model`.
        samples: the samples, with raw values for the titles.
        specs: modality specs by name, in the model's order.
        task: the task.
        positions: samples to draw.
        query: the querying modality; the last one if empty, as in the cross-attention fusion. The queries of attention
            pooling are learned; the first is drawn.

    Returns:
        Figures by title. Empty if the model has no such attention, the query is the picture, the task has a
        ``review.py``, or ``privacy.redact`` hides pictures.
    """
    samples = samples.shown()
    if review_of(task.kind) or not samples.drawable:
        return {}
    attention = attention_model(model)
    layers = [name for name in (attention.output if attention else {}) if name.startswith(_FUSIONS)]
    pooled = bool(layers) and sorted(layers)[-1].startswith(_POOLING)
    query = "" if pooled else query or list(specs)[-1]
    # A picture that shares the weights of another has no branch of its own, from which to read the size of the map.
    own = {layer.name.removesuffix("_branch") for layer in model.layers if layer.name.endswith("_branch")}
    image = next((name for name, spec in specs.items() if spec.kind == "image" and name in own - {query}), None)
    if attention is None or image is None or not layers or not positions:
        return {}
    height, width = model.get_layer(f"{image}_branch").get_layer(f"{image}_flatten").input.shape[1:3]
    memory = [name for name in specs if name != query]
    before = memory[: memory.index(image)]
    start = sum(model.get_layer(f"{name}_null_token").output[0].shape[1] for name in before)
    samples = samples.take(np.asarray(positions))
    scores = np.asarray(attention.predict(samples.inputs, verbose=0)[sorted(layers)[-1]])
    scores = scores[..., start : start + height * width]
    outputs = {name: np.asarray(value) for name, value in model.predict(samples.inputs, verbose=0).items()}
    evidence = task.evidence(samples.targets, outputs)
    texts = zip(answers(task, outputs, evidence), truths(task, samples.targets, evidence), strict=True)
    titled = query or next((name for name, spec in specs.items() if spec.kind == "text"), "")
    figures = {}
    for row, (answer, truth) in enumerate(texts):
        raw = samples.raw[row].get(titled) if samples.raw else None
        figures[f"Attention {row + 1}"] = attention_figure(
            samples.inputs[image][row],
            scores[row],
            (height, width),
            question=raw if isinstance(raw, str) else samples.key(row),
            note=f"Answer: {answer}; true: {truth}.",
        )
    return figures
