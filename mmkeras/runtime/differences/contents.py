"""Contents of an exported file: operators, and bytes of weights by type and by part of the model.

The part follows from the names of the Keras layers, which the converters keep: ``<modality>_branch`` and
``<modality>_null_token`` belong to a modality, ``fusion_...`` to the fusion and ``head_...`` to the head. Other names,
most of them shared constants, count as ``other``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Contents", "explain_error", "keras_layer", "part_of"]

# Scopes that TensorFlow's own functions add inside a layer.
_INNER = {"moments", "batchnorm", "convolution", "separable_conv2d"}


def keras_layer(name: str) -> str:
    """Return the path of the Keras layer in the name of a node or tensor, or an empty text.

    The converter keeps TensorFlow's scopes: ``mmkeras_1/text_branch_1/key_1/MatMul`` is the layer ``text_branch/key``.
    Every scope ends with the number of the model's call, as the first scope does. A node that the converter added has
    no scope.
    """
    scopes = name.split("/")[:-1]
    if not scopes:
        return ""
    counted = re.search(r"_\d+$", scopes[0])
    suffix = counted.group() if counted else ""
    layers = []
    for scope in scopes[1:]:
        # The name of an operation inside a layer begins with a capital letter.
        if scope in _INNER or not scope[:1].islower():
            break
        layers.append(scope[: -len(suffix)] if suffix and scope.endswith(suffix) else scope)
    return "/".join(layers)


def explain_error(text: str, names: tuple[str, ...] = ()) -> str:
    """Append the Keras layer to a message of TensorRT, where it or one of ``names`` contains a node name."""
    # A path of the library's own source begins with a slash.
    found = [*names, *re.findall(r'-> "([^"]+)"', text), *re.findall(r"(?<![\w./])[\w.]+(?:/[\w.:]+)+", text)]
    layers = [layer for layer in map(keras_layer, found) if layer]
    return f"{text} (Keras layer {layers[0]})" if layers else text


_PART = re.compile(r"(?:^|[/;])(?:(\w+?)_(?:branch|null_token)|(fusion|head)_)")


@dataclass
class Contents:
    """Operators and weights of one file."""

    operators: Counter[str] = field(default_factory=Counter)
    """Occurrences of each operator."""
    types: Counter[str] = field(default_factory=Counter)
    """Bytes of constants by their type."""
    parts: Counter[str] = field(default_factory=Counter)
    """Bytes of constants by part of the model."""

    def add_weight(self, name: str, kind: str, size: int) -> None:
        """Count a constant."""
        if size:
            self.types[kind] += size
            self.parts[part_of(name)] += size


def part_of(name: str) -> str:
    """Return the part of the model that a tensor belongs to: a modality, ``fusion``, ``head`` or ``other``."""
    found = _PART.search(name)
    return (found[1] or found[2]) if found else "other"
