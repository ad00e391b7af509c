"""Runs one exported file on the candidates for golden samples, without and with every fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.verification.passes import run_batches
from export.verification.proof.candidates import Candidates
from export.verification.proof.faults import Fault
from export.verification.runners import Opened
from export.verification.verify import Case, Reference
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._evidence import joined

__all__ = ["FileTrial", "floors", "try_file"]

FLOORS = {"float16": 0.01}
"""Allowed difference of any device by precision, as a share of an output's spread: processors round differently."""
_INT8_FLOOR = 0.05
TIMES = 2.0
"""A device may differ from the Keras model this many times as much as the file does here."""


@dataclass(frozen=True)
class FileTrial:
    """Measurements of one file on the candidates."""

    moved: dict[str, dict[str, np.ndarray]]
    """By fault and output, the largest change of each row and channel by the fault, float64 (R, C)."""
    differences: dict[str, dict[str, np.ndarray]]
    """By scenario and output, the largest difference to the Keras model of each row and channel, float64 (R, C)."""
    floors: dict[str, np.ndarray]
    """By output, float64 (1,) or (C,): the allowed difference beyond `TIMES` the largest one here."""
    flipped: dict[str, np.ndarray]
    """By scenario, bool (R,): whether the decision differs from the Keras model's."""

    def allowed(self, scenario: str, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Return the tolerances, (1,) or (C,) by output, for golden samples from a scenario's candidates."""
        found = {}
        for name, difference in self.differences[scenario].items():
            floor = self.floors[name]
            worst = difference[rows].max(0) if floor.size > 1 else difference[rows].max(keepdims=True).reshape(1)
            found[name] = TIMES * worst + floor
        return found

    def noise(self, scenario: str, spread: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return each candidate's largest difference to the Keras model, as a share of the output's spread (R,)."""
        shares = [(value / spread[name]).max(1) for name, value in self.differences[scenario].items()]
        return np.asarray(np.max(shares, axis=0))


def floors(precision: str, tolerance: float, reference: Reference) -> dict[str, np.ndarray]:
    """Return the part of the tolerances that does not depend on the file's outputs, float64 (1,) or (C,) by output.

    ``tolerance`` is the format's for float32, as a share of the larger of 1 and the outputs.
    """
    found = {}
    for name, spread in reference.spread.items():
        if precision == "float32":
            sizes = [case.moments[name].largest for case in reference.cases]
            largest = np.max([size if np.size(spread) > 1 else size.max() for size in sizes], axis=0)
            found[name] = np.atleast_1d(tolerance * np.maximum(1.0, np.asarray(largest, np.float64)))
        else:
            found[name] = np.atleast_1d(FLOORS.get(precision, _INT8_FLOOR) * np.asarray(spread, np.float64))
    return found


def try_file(
    file: Opened,
    cases: Sequence[Case],
    chosen: Candidates,
    faults: Sequence[Fault],
    reference: Reference,
    limits: dict[str, np.ndarray],
) -> FileTrial:
    """Run a file on the candidates of every case, a few at a time; ``limits`` are the file's `floors`."""
    moved: dict[str, dict[str, np.ndarray]] = {}
    differences: dict[str, dict[str, np.ndarray]] = {}
    flipped: dict[str, np.ndarray] = {}
    for case in cases:
        name, flips, apart = case.scenario.name, [], []
        own = [fault for fault in faults if fault.scenario == name]
        shifts: dict[str, list[dict[str, np.ndarray]]] = {fault.name: [] for fault in own}
        for rows in reference.parts(chosen.rows[name]):
            inputs, expected = ({k: v[rows] for k, v in each.items()} for each in (case.inputs, case.outputs))
            size = min(file.size, len(rows))
            got = run_batches(file.infer, inputs, size)
            apart.append(_by_channel(expected, got))
            flips.append(np.asarray(reference.task.flips(expected, got)))
            for fault in own:
                faulty = fault.outputs(run_batches(file.infer, fault.inputs(inputs), size))
                shifts[fault.name].append(_by_channel(got, faulty))
        differences[name], flipped[name] = joined(apart), np.concatenate(flips)
        moved |= {fault: joined(parts) for fault, parts in shifts.items()}
    return FileTrial(moved, differences, limits, flipped)


def _by_channel(expected: Outputs, got: Outputs) -> dict[str, np.ndarray]:
    """Return the largest difference of each row and channel, float64 (R, C) by output."""
    found = {}
    for name, value in expected.items():
        difference = np.abs(np.asarray(got[name], np.float64) - np.asarray(value, np.float64))
        # An output (B,) has one channel.
        size = difference.shape[-1] if difference.ndim > 1 else 1
        found[name] = difference.reshape(len(difference), -1, size).max(axis=1)
    return found
