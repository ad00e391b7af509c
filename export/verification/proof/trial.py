"""One exported file on the candidates for golden samples: as it is, and with every fault planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.verification.proof.candidates import Candidates
from export.verification.proof.faults import Fault
from export.verification.verify import Case, Infer, Reference, run_batches
from mmkeras.tasks import TaskSpec

__all__ = ["FileTrial", "floors", "try_file"]

FLOORS = {"float16": 0.01}
"""Share of an output's spread that any device may differ by, by precision; a processor rounds in its own order."""
_INT8_FLOOR = 0.05
TIMES = 2.0
"""A device may differ from the Keras model by this many times what the file does here."""


@dataclass(frozen=True)
class FileTrial:
    """One file's outputs on the candidates."""

    outputs: dict[str, dict[str, np.ndarray]]
    """By scenario and output, (R, ...)."""
    faulty: dict[str, dict[str, np.ndarray]]
    """By fault and output, (R, ...): on the candidates of the fault's scenario."""
    differences: dict[str, dict[str, np.ndarray]]
    """By scenario and output, the largest difference to the Keras model of each row and channel, float64 (R, C)."""
    floors: dict[str, np.ndarray]
    """By output, float64 (1,) or (C,): what is allowed beyond `TIMES` that difference."""
    flipped: dict[str, np.ndarray]
    """By scenario, bool (R,): another decision than the Keras model's."""

    def allowed(self, scenario: str, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Return the tolerances, (1,) or (C,) by output, when some of a scenario's candidates become golden."""
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
    """Return what a device may differ by on top of what the file does here, float64 (1,) or (C,) by output.

    Args:
        precision: of the file.
        tolerance: the format's for float32: a share of the larger of 1 and the outputs.
        reference: how large outputs are and how much they vary.
    """
    found = {}
    for name, spread in reference.spread.items():
        if precision == "float32":
            sizes = [np.abs(case.outputs[name]).reshape(-1, case.outputs[name].shape[-1]) for case in reference.cases]
            largest = np.max([size.max(0) if np.size(spread) > 1 else size.max() for size in sizes], axis=0)
            found[name] = np.atleast_1d(tolerance * np.maximum(1.0, np.asarray(largest, np.float64)))
        else:
            found[name] = np.atleast_1d(FLOORS.get(precision, _INT8_FLOOR) * np.asarray(spread, np.float64))
    return found


def try_file(
    infer: Infer,
    size: int,
    cases: Sequence[Case],
    chosen: Candidates,
    faults: Sequence[Fault],
    task: TaskSpec,
    limits: dict[str, np.ndarray],
) -> FileTrial:
    """Run a file on the candidates.

    Args:
        infer: runs the file.
        size: samples at a time.
        cases: the Keras model's scenarios and the probes.
        chosen: rows by scenario.
        faults: what is planted.
        task: decides.
        limits: the file's `floors`.
    """
    by_name = {case.scenario.name: case for case in cases}
    outputs = {name: run_batches(infer, _inputs(by_name[name], rows), size) for name, rows in chosen.rows.items()}
    expected = {
        name: {output: value[rows] for output, value in by_name[name].outputs.items()}
        for name, rows in chosen.rows.items()
    }
    faulty = {}
    for fault in faults:
        inputs = fault.inputs(_inputs(by_name[fault.scenario], chosen.rows[fault.scenario]))
        faulty[fault.name] = fault.outputs(run_batches(infer, inputs, size))
    return FileTrial(
        outputs=outputs,
        faulty=faulty,
        differences={
            name: {output: _by_channel(expected[name][output], got[output]) for output in expected[name]}
            for name, got in outputs.items()
        },
        floors=limits,
        flipped={name: np.asarray(task.flips(expected[name], got)) for name, got in outputs.items()},
    )


def _inputs(case: Case, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value[rows] for name, value in case.inputs.items()}


def _by_channel(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Return the largest difference of each row and channel, float64 (R, C)."""
    difference = np.abs(np.float64(got) - np.float64(expected))
    return difference.reshape(len(difference), -1, difference.shape[-1]).max(1)
