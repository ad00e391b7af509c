"""Which part of the model a layer belongs to: a modality's branch, the fusion or the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.runtime.differences.contents import part_of

if TYPE_CHECKING:
    import keras

__all__ = ["OTHER", "parts"]

OTHER = "model"
"""The part of layers in a model whose names tell none."""
_UNKNOWN = part_of("")
_LATE = ("head", "fusion")


def parts(model: keras.Model) -> dict[str, str]:
    """Return the part of every layer and operation directly in a model, in the order of the graph.

    Names tell the part. What carries none belongs where its inputs come from; what joins several modalities is fusion.
    """
    by_depth = model._nodes_by_depth
    nodes: list[Any] = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    told = {node.operation.name: part_of(f"{node.operation.name}/") for node in nodes}
    modalities = sorted(set(told.values()) - {_UNKNOWN, *_LATE}, key=len, reverse=True)
    found: dict[str, str] = {}
    for node in nodes:
        name = node.operation.name
        if told[name] != _UNKNOWN:
            found[name] = told[name]
        elif node.is_input:
            found[name] = next((m for m in modalities if name == m or name.startswith(f"{m}_")), _UNKNOWN)
        else:
            found[name] = _joined({found[name] for name in _read(node)})
    return {name: OTHER if part == _UNKNOWN else part for name, part in found.items()}


def _read(node: Any) -> list[str]:
    return [tensor._keras_history.operation.name for tensor in node.input_tensors]


def _joined(sources: set[str]) -> str:
    for part in _LATE:
        if part in sources:
            return part
    known = sources - {_UNKNOWN}
    if len(known) > 1:
        return _LATE[1]
    return known.pop() if known else _UNKNOWN
