"""Candidates for golden samples: spread over the test samples, and those with the largest effect of a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.verification.proof.faults import Fault
from export.verification.proof.probes import PROBES
from export.verification.verify import Case, Reference

__all__ = ["REACTS", "Candidates", "candidates", "spread_over"]

REACTS = 0.25
"""A model reacts to a fault if an output of any sample changes by this share of its spread."""
_TRIED = 200
"""Samples on which faults are tried with the Keras model."""
_SPREAD = 24
_MOST = 8


@dataclass(frozen=True)
class Candidates:
    """Candidates for golden samples."""

    rows: dict[str, np.ndarray]
    """Rows of the reference's samples by scenario, ascending."""
    reacts: dict[str, bool]
    """Whether the Keras model's outputs react to a fault, by fault."""


def candidates(reference: Reference, cases: Sequence[Case], faults: Sequence[Fault]) -> Candidates:
    """Run the Keras model with every fault and choose candidates from its scenarios; all probes are candidates."""
    count = len(reference.keys)
    rows = {
        case.scenario.name: [
            np.arange(len(next(iter(case.outputs.values()))))
            if case.scenario.name == PROBES
            else spread_over(count, _SPREAD)
        ]
        for case in cases
    }
    tried = spread_over(count, _TRIED)
    by_name = {case.scenario.name: case for case in cases}
    reacts = {}
    for fault in faults:
        effect = _effect(reference, by_name[fault.scenario], fault, tried)
        reacts[fault.name] = bool(effect.max() >= REACTS)
        rows[fault.scenario].append(tried[np.argsort(-effect, kind="stable")[:_MOST]])
    return Candidates({name: np.unique(np.concatenate(parts)) for name, parts in rows.items()}, reacts)


def _effect(reference: Reference, case: Case, fault: Fault, rows: np.ndarray) -> np.ndarray:
    """Return the largest change of the Keras model's outputs by a fault, as a share of their spread (n,)."""
    effects = []
    for part in reference.parts(rows):
        inputs = fault.inputs({name: value[part] for name, value in case.inputs.items()})
        moved = []
        for name, value in fault.outputs(reference.infer(inputs)).items():
            share = np.abs(np.float64(value) - np.float64(case.outputs[name][part])) / reference.spread[name]
            moved.append(np.nan_to_num(share, nan=0.0, posinf=0.0).reshape(len(part), -1).max(1))
        effects.append(np.max(moved, axis=0))
    return np.concatenate(effects)


def spread_over(count: int, wanted: int) -> np.ndarray:
    """Return at most ``wanted`` positions at equal distances from 0 to ``count - 1``."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(np.int64))
