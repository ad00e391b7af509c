"""What int8 does not reach in a LiteRT file: operations left in float, and ranges that leave int8 no resolution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from export.doctor.cures import island, wide
from export.doctor.litert_file import LiteRTFile, Operation
from export.doctor.scopes import Scopes
from export.doctor.verdicts import Finding, Verdict

__all__ = ["WIDE", "float_islands", "wide_ranges"]

WIDE = 1e4
"""Magnitude from which a value is too wide: one of 256 steps is then 40 or more."""
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")
_ONLY_TYPES = ("CAST",)
_FEW = 1024


def float_islands(file: LiteRTFile, layers: Sequence[tuple[str, ...]], scopes: Scopes) -> list[Finding]:
    """Return a finding for every connected group of operations that work on floats in a quantised file.

    Turning an input's bytes or ids into floats is allowed; so are operations on types other than float.
    """
    afloat = [index for index, operation in enumerate(file.operations) if _stays(file, operation)]
    findings = []
    for group in _connected(file, afloat, lambda number: file.tensors[number].dtype == "float32"):
        count = max(file.tensors[n].elements for i in group for n in _floats(file, file.operations[i]))
        size = "a few" if count <= _FEW else f"{count:,}"
        operators = tuple(sorted({file.operations[i].operator for i in group}))
        stay = "stays" if len(operators) == 1 else "stay"
        message = f"{', '.join(operators)} {stay} in float when quantised ({size} numbers)"
        paths = tuple(dict.fromkeys(path for i in group for path in layers[i][:1]))
        cure = island(operators, [scopes.kind(path) for path in paths])
        findings.append(Finding(Verdict.ISLAND, False, paths, operators, message, cure))
    return findings


def wide_ranges(file: LiteRTFile, layers: Sequence[tuple[str, ...]], scopes: Scopes) -> list[Finding]:
    """Return a finding for every connected group of operations whose values are too wide for int8.

    It names the layer where the large number comes in: an operation that reads it as a constant, else the first one.
    """
    findings = []
    makers = [i for i, each in enumerate(file.operations) if any(_wide(file, n, False) for n in each.outputs)]
    for group in _connected(file, makers, lambda number: _wide(file, number, False)):
        first = next((i for i in group if any(_wide(file, n, True) for n in file.operations[i].inputs)), group[0])
        largest = max(file.tensors[n].largest for i in group for n in file.operations[i].outputs)
        operators = tuple(dict.fromkeys(file.operations[i].operator for i in group))
        message = f"values of {_magnitude(largest)} leave int8 no resolution for the others"
        cure = wide([scopes.kind(path) for path in layers[first]])
        findings.append(Finding(Verdict.WIDE, False, layers[first][:1], operators, message, cure))
    return findings


def _connected(file: LiteRTFile, chosen: Sequence[int], joins: Callable[[int], bool]) -> list[list[int]]:
    """Return operations grouped by the values that pass between them; ``joins`` says whether a value connects."""
    touching: dict[int, list[int]] = defaultdict(list)
    for index in chosen:
        operation = file.operations[index]
        for number in (*operation.inputs, *operation.outputs):
            if not file.tensors[number].constant and joins(number):
                touching[number].append(index)
    near: dict[int, set[int]] = defaultdict(set)
    for indices in touching.values():
        for index in indices:
            near[index].update(indices)
    groups, seen = [], set()
    for index in chosen:
        group, todo = [], [index]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                group.append(current)
                todo += near[current]
        if group:
            groups.append(sorted(group))
    return groups


def _stays(file: LiteRTFile, operation: Operation) -> bool:
    if operation.custom or operation.operator in _BETWEEN or not _floats(file, operation):
        return False
    return operation.operator not in _ONLY_TYPES or not _from_input(file, operation)


def _wide(file: LiteRTFile, number: int, constant: bool) -> bool:
    tensor = file.tensors[number]
    return tensor.constant == constant and tensor.largest >= WIDE


def _floats(file: LiteRTFile, operation: Operation) -> list[int]:
    touched = (*operation.inputs, *operation.outputs)
    return [n for n in touched if file.tensors[n].dtype == "float32" and not file.tensors[n].constant]


def _from_input(file: LiteRTFile, operation: Operation) -> bool:
    return all(file.tensors[number].dtype != "float32" for number in operation.inputs)


def _magnitude(value: float) -> str:
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
