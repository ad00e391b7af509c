"""Rounds numbers for people: only an exact 0 or 100 % is shown as 0 or 100 %."""

from __future__ import annotations

import math

__all__ = ["percent", "rounded"]

_MOST = 6
_EXACT = 1e-9


def rounded(value: float, digits: int, *, signed: bool = False, ends: tuple[float, ...] = (0.0, 1.0)) -> str:
    """Return a number as text, with more decimals where it would be rounded to an end: 0.99997, not 1.0000.

    Args:
        value: the number.
        digits: decimals of all other numbers.
        signed: show a plus sign.
        ends: numbers that are shown only for exactly that value.
    """
    sign = "+" if signed else ""
    if not math.isfinite(value):
        return f"{value:{sign}}"
    near = [end for end in ends if abs(value - end) <= _EXACT * max(1.0, abs(end))]
    if near:
        return f"{near[0] + 0.0:{sign}.{digits}f}"
    while digits < _MOST and float(f"{value:.{digits}f}") in ends:
        digits += 1
    text = f"{value:{sign}.{digits}f}"
    return f"{value:{sign}.1g}" if float(text) == 0.0 else text


def percent(share: float, digits: int = 1, *, signed: bool = False) -> str:
    """Return a share in percent, or a difference of shares in points: 99.97 for 0.9997, not 100.0."""
    return rounded(100 * share, digits, signed=signed, ends=(0.0, 100.0, -100.0))
