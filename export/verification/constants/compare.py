"""Finds constants of a file that are not those of the float32 file, rounded.

Converters rename and share constants, so these are compared by their numbers. Each has to be a constant of the float32
file to half a step, and of the same Keras layer where its name carries one; each of the float32 file has to be there;
steps of 8 bits may not be larger than the numbers need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.verification.constants.constant import Constant
from mmkeras.runtime.differences.contents import keras_layer

__all__ = ["constants_problem"]

FEWEST = 2
"""Constants of fewer numbers are not compared: converters fold an epsilon or a factor as they like."""
SLACK = 1e-3
"""What float32 arithmetic may add to half a step, as a share of it."""
FLOAT_NOISE = 4e-6
"""What a converter that folds in another order may add, as a share of the constant's largest number."""
_HALF_MAX = float(np.finfo(np.float16).max)


def constants_problem(small: Sequence[Constant], float32: Sequence[Constant]) -> str:
    """Return how a file's constants differ from the float32 file's by more than rounding; empty where they do not.

    Args:
        small: of the file.
        float32: of the float32 file of the same format and model.
    """
    wanted: dict[int, list[Constant]] = defaultdict(list)
    for constant in float32:
        wanted[constant.values.size].append(constant)
    problems: list[str] = []
    used: set[int] = set()
    for constant in small:
        if constant.values.size < FEWEST:
            continue
        distances = [_distance(constant, other) for other in wanted[constant.values.size]]
        good = [other for other, found in zip(wanted[constant.values.size], distances, strict=True) if not found.beyond]
        used.update(map(id, good))
        if not good:
            problems.append(_explain(constant, distances))
        elif wrong := _of_another_layer(constant, good, wanted[constant.values.size]):
            problems.append(wrong)
        elif constant.coarse:
            problems.append(
                f"the scale of {constant.coarse} channels of its constant {constant.name} is too large: their numbers "
                "use a part of 8 bits"
            )
    lost = [c.name for c in float32 if c.values.size >= FEWEST and id(c) not in used]
    if problems:
        return problems[0] + (f" ({len(problems) - 1} more constants alike)" if len(problems) > 1 else "")
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return f"lacks the constant {lost[0]}{more} of the float32 file"
    return ""


@dataclass(frozen=True)
class _Distance:
    other: str
    beyond: int
    worst: float


def _distance(constant: Constant, other: Constant) -> _Distance:
    values = other.values
    if constant.kind == "float16":
        values = np.clip(values, -_HALF_MAX, _HALF_MAX)
    noise = FLOAT_NOISE * float(np.abs(values).max())
    distance = np.abs(constant.values - values)
    allowed = constant.rounding * np.float32(1 + SLACK) + np.float32(noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        bad = ~(distance <= allowed)
        worst = float(np.max(distance / np.maximum(allowed, np.float32(1e-30))))
    return _Distance(other.name, int(bad.sum()), worst)


def _of_another_layer(constant: Constant, good: Sequence[Constant], known: Sequence[Constant]) -> str:
    """Return which layer's numbers a constant holds in place of its own; empty where they are its own."""
    layer = _layer(constant)
    if not layer or layer in map(_layer, good) or layer not in map(_layer, known):
        return ""
    return f"its constant {constant.name} holds the numbers of {good[0].name}"


def _layer(constant: Constant) -> str:
    """Return the Keras layer that a name carries; LiteRT joins the names of what it fuses."""
    return keras_layer(constant.name.split(";")[0])


def _explain(constant: Constant, distances: Sequence[_Distance]) -> str:
    size = constant.values.size
    if not distances:
        return f"holds a constant {constant.name} of {size} numbers that the float32 file does not have"
    nearest = min(distances, key=lambda found: (found.beyond, found.worst))
    return (
        f"its constant {constant.name} ({constant.kind}) is not the float32 file's {nearest.other}: "
        f"{nearest.beyond} of {size} numbers are further away than rounding explains, "
        f"the worst {nearest.worst:.3g} times as far"
    )
