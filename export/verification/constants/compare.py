"""Finds constants of a file that are not the rounded constants of the float32 file.

Converters rename and share constants, so they are compared by value. Each constant must equal one of the float32 file
to half a step, of the same Keras layer where its name contains one. Each constant of the float32 file must be there.
An 8-bit scale may not be larger than the values need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from export.verification.constants.constant import FLOAT_NOISE, Constant
from mmkeras.runtime.differences.contents import keras_layer

__all__ = ["constants_problem"]

FEWEST = 2
"""Constants of fewer values are not compared: converters may fold an epsilon or a factor."""
SLACK = 1e-3
"""What float32 arithmetic may add to half a step, as a share of the step."""
_HALF_MAX = float(np.finfo(np.float16).max)


def constants_problem(small: Sequence[Constant], float32: Sequence[Constant]) -> str:
    """Return how a file's constants differ from the float32 file's by more than rounding; empty where they do not.

    ``float32`` are the constants of the float32 file of the same format and model.
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
        good = [other for other, (beyond, _) in zip(wanted[constant.values.size], distances, strict=True) if not beyond]
        used.update(map(id, good))
        if not good:
            problems.append(_explain(constant, wanted[constant.values.size], distances))
        elif wrong := _of_another_layer(constant, good, wanted[constant.values.size]):
            problems.append(wrong)
        elif constant.coarse:
            problems.append(
                f"the scale of {constant.coarse} channels of its constant {constant.name} is too large: their values "
                "use only a part of 8 bits"
            )
    lost = [c.name for c in float32 if c.values.size >= FEWEST and id(c) not in used]
    if problems:
        return problems[0] + (f" (and {len(problems) - 1} more constants)" if len(problems) > 1 else "")
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return f"lacks the constant {lost[0]}{more} of the float32 file"
    return ""


def _distance(constant: Constant, other: Constant) -> tuple[int, float]:
    """Return how many values differ by more than rounding, and the largest multiple of the allowed difference."""
    values = other.values
    if constant.kind == "float16":
        values = np.clip(values, -_HALF_MAX, _HALF_MAX)
    noise = FLOAT_NOISE * float(np.abs(values).max())
    distance = np.abs(constant.values - values)
    allowed = constant.rounding * np.float32(1 + SLACK) + np.float32(noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        bad = ~(distance <= allowed)
        worst = float(np.max(distance / np.maximum(allowed, np.float32(1e-30))))
    return int(bad.sum()), worst


def _of_another_layer(constant: Constant, good: Sequence[Constant], known: Sequence[Constant]) -> str:
    """Return which layer's values a constant holds instead of its own; empty where they are its own."""
    layer = _layer(constant)
    if not layer or layer in map(_layer, good) or layer not in map(_layer, known):
        return ""
    return f"its constant {constant.name} holds the values of {good[0].name}"


def _layer(constant: Constant) -> str:
    """Return the Keras layer in a constant's name; LiteRT joins the names of fused operations."""
    return keras_layer(constant.name.split(";")[0])


def _explain(constant: Constant, others: Sequence[Constant], distances: Sequence[tuple[int, float]]) -> str:
    size = constant.values.size
    if not others:
        return f"holds a constant {constant.name} of {size} values that the float32 file does not have"
    nearest = min(range(len(others)), key=distances.__getitem__)
    beyond, worst = distances[nearest]
    return (
        f"its constant {constant.name} ({constant.kind}) is not the float32 file's {others[nearest].name}: "
        f"{beyond} of {size} values differ by more than rounding, the worst by {worst:.3g} times the allowed difference"
    )
