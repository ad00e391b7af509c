"""Rows of a machine's measurements, generated: every answer needs the row and the series."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LIMITS", "SHAPES", "write_rows"]

LIMITS = {"press": 20.0, "lathe": 40.0, "mill": 60.0}
"""Load from which each machine is overloaded."""
SHAPES = ("rising", "falling", "bump", "dip")
STEPS = 32
_SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


def write_rows(folder: Path, rows: int, seed: int = 0) -> Path:
    """Write a table of JSON lines and return its path.

    A machine within its load is answered by the shape of its signal; above it by ``overload`` or, with a low
    temperature, ``cold``. Some cells are empty, some signals short, long or with gaps.

    Args:
        folder: where to; it exists.
        rows: 60 % are the training split, 15 % validation, 25 % test.
        seed: of the numbers.
    """
    rng = np.random.default_rng(seed)
    splits = [name for name, share in _SHARES.items() for _ in range(math.ceil(share * rows))][:rows]
    lines = [json.dumps({**_row(rng), "side": split}) for split in splits]
    table = folder / "table.jsonl"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    return table


def _row(rng: np.random.Generator) -> dict[str, Any]:
    machine, shape = str(rng.choice(list(LIMITS))), str(rng.choice(SHAPES))
    over = rng.random() < 0.4
    distance = rng.uniform(6, 18)
    load = LIMITS[machine] + (distance if over else -distance)
    cold = rng.random() < 0.5
    temperature = rng.uniform(-20, 2) if cold else rng.uniform(12, 40)
    hours: float | None = round(float(rng.uniform(0, 9000)), 1)
    if rng.random() < 0.1:
        hours = None
    answer = ("cold" if cold else "overload") if over else shape
    return {
        "machine": machine,
        "load": round(float(load), 2),
        "temperature": round(float(temperature), 2),
        "hours": hours,
        "signal": _signal(rng, shape),
        "answer": answer,
    }


def _signal(rng: np.random.Generator, shape: str) -> list[float | None]:
    """Return steps of a shape with noise, at a level and a scale of their own."""
    steps = STEPS if rng.random() < 0.8 else int(rng.integers(STEPS * 3 // 4, STEPS * 3 // 2))
    at = np.linspace(-1, 1, steps)
    middle = rng.uniform(-0.2, 0.2)
    bump = np.exp(-8 * (at - middle) ** 2)
    clean = {"rising": at, "falling": -at, "bump": 2 * bump, "dip": -2 * bump}[shape]
    values = rng.uniform(-5, 5) + rng.uniform(0.5, 3) * (clean + 0.1 * rng.standard_normal(steps))
    gaps = rng.random(steps) < (0.15 if rng.random() < 0.2 else 0)
    return [None if gap else round(float(value), 3) for value, gap in zip(values, gaps, strict=True)]
