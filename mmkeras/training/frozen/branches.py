"""Trains behind frozen branches: their outputs are computed once, and the steps run the rest of the model.

The trained model stays the run's whole model: its weights, checkpoints, files and exports are the same. Only its
``call`` is replaced during a stage: where a batch holds the outputs of a frozen part, the layers behind it run on them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.modalities import branches, modality_configs
from mmkeras.data.frozen import FrozenPart, distinct
from mmkeras.data.index import Index
from mmkeras.modalities import TensorSpec
from mmkeras.tasks._moves import leader
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.frozen.cut import Cut, cut_branch, flat, frozen_model, inputs_behind, run
from mmkeras.training.methods._contract import TrainingMethod
from mmkeras.training.objective import graph_of
from mmkeras.training.stages import Stage

__all__ = ["FrozenBranches", "frozen_branches"]


class FrozenBranches:
    """The frozen branches of a model in one stage.

    Args:
        model: the trained functional model.
        cuts: by modality.
        parts: by modality, for the data.
    """

    def __init__(self, model: keras.Model, cuts: Mapping[str, Cut], parts: Mapping[str, FrozenPart]) -> None:
        self.parts = dict(parts)
        """Parts of branches by modality, for `mmkeras.training.batches`."""
        self._model, self._cuts = model, dict(cuts)
        stops = {id(tensor) for cut in cuts.values() for tensor in cut.outputs}
        self._names = [tensor.name for tensor in model.inputs if tensor.name in inputs_behind(model, stops)]
        tensors = {tensor.name: tensor for tensor in model.inputs}
        behind = [tensor for cut in cuts.values() for tensor in cut.outputs]
        self._rest = keras.Function([*behind, *(tensors[name] for name in self._names)], model.output)

    def attach(self) -> None:
        """Replace the model's ``call``, which still takes whole inputs too."""
        whole = self._model.call
        first = next(iter(self.parts.values())).outputs[0].name

        def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if first not in inputs:
                return whole(inputs, training=training, mask=mask)
            behind: list[Any] = []
            for name, cut in self._cuts.items():
                outputs = [keras.ops.convert_to_tensor(inputs[each.name]) for each in self.parts[name].outputs]
                behind += flat(run(cut.rest, outputs, training))
            others = [keras.ops.convert_to_tensor(inputs[name]) for name in self._names]
            return run(self._rest, [*behind, *others], training)

        # In the instance's own dictionary: Keras would track an attribute that is set.
        vars(self._model)["call"] = call
        # Keras would require the inputs of the frozen parts.
        self._model.input_spec = None

    def release(self) -> None:
        """Restore the model's own methods."""
        vars(self._model).pop("call", None)
        del self._model._manual_input_spec


def frozen_branches(
    model: keras.Model, stage: Stage, index: Index, cluster: Cluster, say: Callable[[str], None]
) -> FrozenBranches | None:
    """Find the branches of a model whose outputs can be computed once, and print why others cannot.

    Args:
        model: the stage's trained model, with its final frozen weights.
        stage: the stage.
        index: the converted data.
        cluster: the devices.
        say: prints a line.

    Returns:
        The branches, or None.
    """
    cuts: dict[str, Cut] = {}
    parts: dict[str, FrozenPart] = {}
    if graph_of(model) is not model or not hasattr(model, "_nodes_by_depth"):
        return None
    for name in stage.context.specs:
        found = frozen_model(model, name)
        if found is None:
            continue
        reason = found if isinstance(found, str) else _obstacle(model, stage, cluster, name)
        if not reason and isinstance(found, keras.Model):
            cut = cut_branch(model, name, found)
            reason = cut if isinstance(cut, str) else ""
            if isinstance(cut, Cut):
                part = _part(model, stage, name, found, cut, say)
                reason = _too_large(stage, index, part)
                if not reason:
                    cuts[name], parts[name] = cut, part
        if reason:
            say(f"{stage.label}{name}: the outputs of the frozen branch are computed in every step: {reason}")
    if not cuts:
        return None
    stops = {id(tensor) for cut in cuts.values() for tensor in cut.outputs}
    behind = inputs_behind(model, stops)
    parts = {
        n: dataclasses.replace(p, also_read=tuple(t for t in cuts[n].inputs if t in behind)) for n, p in parts.items()
    }
    return FrozenBranches(model, cuts, parts)


# === Conditions ===


def _obstacle(model: keras.Model, stage: Stage, cluster: Cluster, name: str) -> str:
    """Return why a frozen branch is not computed once; empty if it can be."""
    config = stage.config
    configs = modality_configs(config.model)
    shared = next(group for group in branches(config.model).values() if name in group)
    own = configs[name].augmentations()
    first, moves = leader(stage.context.specs, configs)
    follows = moves and hasattr(find("modalities", stage.context.specs[name].kind, "records"), "move")
    precision = stage.run.provenance["decided"]["precision"]
    reasons = {
        "data.frozen_cache_gib is 0": config.data.frozen_cache_gib <= 0,
        'data.cache is "none"': config.data.cache == "none",
        "several devices share every batch": cluster.strategy is not None,
        f"train.precision is {precision}": precision not in ("float32", "float64"),
        f"its weights are shared with {', '.join(each for each in shared if each != name)}": len(shared) > 1,
        f"the kind {stage.context.specs[name].kind} does not say whether it is augmented": own is None,
        f"its input is augmented ({', '.join(own or ())})": bool(own),
        f"model.{first}.{next(iter(moves), '')} moves whole samples": bool(follows),
        f"the method {stage.kind} changes the batches": type(stage.method).batch is not TrainingMethod.batch,
        "the fusion has outputs of its own in training": stage.method.extra_outputs(model, stage.context) is not None,
    }
    return next((reason for reason, there in reasons.items() if there), "")


def _too_large(stage: Stage, index: Index, part: FrozenPart) -> str:
    splits = [split for split in ("train", "validation") if index.samples(split)]
    limit = stage.config.data.frozen_cache_gib
    size = sum(index.samples(split) + 1 for split in splits) * part.bytes_of_one / 2**30
    free = shutil.disk_usage(index.folder).free / 2**30
    if size > min(limit, 0.8 * free):
        # Samples may share values: count them only where it matters.
        size = sum(distinct(index, split, part.modality) + 1 for split in splits) * part.bytes_of_one / 2**30
    if size > limit:
        return f"they would take {size:.1f} GiB, more than data.frozen_cache_gib ({limit:g})"
    return f"they would take {size:.1f} GiB, and {free:.1f} are free beside the shards" if size > 0.8 * free else ""


# === For the data ===


def _part(
    model: keras.Model, stage: Stage, name: str, frozen: keras.Model, cut: Cut, say: Callable[[str], None]
) -> FrozenPart:
    outputs = tuple(
        TensorSpec(f"{name}_frozen_{number}", tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))
        for number, tensor in enumerate(cut.frozen.outputs)
    )
    graph = tf.function(lambda *tensors: flat(run(cut.frozen, tensors, False)), autograph=False, reduce_retracing=True)

    def compute(tensors: Mapping[str, Any]) -> Sequence[Any]:
        found: Sequence[Any] = graph(*(tensors[each] for each in cut.inputs))
        return found

    def line(text: str) -> None:
        say(f"{stage.label}{text}")

    return FrozenPart(name, outputs, compute, (), _key(stage, name, frozen, outputs), line)


def _key(stage: Stage, name: str, frozen: keras.Model, outputs: tuple[TensorSpec, ...]) -> str:
    """Return a hash of all that the outputs depend on, besides the data."""
    config = modality_configs(stage.config.model)[name]
    # The weights themselves count, and the spec holds the vocabulary, not their places.
    places = getattr(type(config), "reads", ())
    options = {key: value for key, value in dataclasses.asdict(config).items() if key not in places}
    packages = stage.run.provenance["packages"]
    versions = {package: packages.get(package) for package in ("tensorflow", "keras", "keras-hub", "mmkeras")}
    layers = [type(layer).__name__ for layer in frozen._flatten_layers()]
    described = [options, versions, layers, [str(each) for each in outputs], keras.config.floatx()]
    sha = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for weight in frozen.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(value.tobytes())
    return sha.hexdigest()
