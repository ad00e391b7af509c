"""Applies the layers of one branch to several modalities, which then share its weights."""

from __future__ import annotations

import keras

from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities import ModalitySpec

__all__ = ["read_again"]

_TENSORS = ("values", "mask", "position", "measured")


def read_again(branch: Branch, spec: ModalitySpec, own: ModalitySpec) -> Branch:
    """Return the branch of another modality of the same kind, computed with the layers of a given branch.

    Every layer and operation between inputs and tokens is called again, so that the weights exist once and the graph
    has no further level of nested models.

    Args:
        branch: the branch to reuse.
        spec: the modality that the branch was built for.
        own: the other modality; its tensors have the same shapes and dtypes, in the same order.
    """
    inputs = {tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in own.tensors}
    given = {name: tensor for name in _TENSORS if (tensor := getattr(branch.tokens, name)) is not None}
    layers = keras.Function([branch.inputs[tensor.name] for tensor in spec.tensors], given)
    return Branch(inputs, Tokens(**layers.call(list(inputs.values())), grid=branch.tokens.grid))
