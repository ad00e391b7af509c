"""Chooses golden samples on which every planted fault shows in every file, and tolerances that are narrower than it.

A sample is the better the further a fault moves its outputs beyond what a device is allowed there, which is little
where the file is close to the Keras model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.verification.proof.candidates import Candidates, spread_over
from export.verification.proof.faults import Fault
from export.verification.proof.probes import PROBES
from export.verification.proof.trial import FileTrial
from export.verification.scenarios import ALL

__all__ = ["Chosen", "choose_rows", "tolerances"]

GOLDEN_SAMPLES = 8
"""Golden samples of the scenario ``all``, with their raw inputs."""
GOLDEN_PER_SCENARIO = 3
"""Golden samples of every other scenario."""
_PER_FAULT = 2


@dataclass(frozen=True)
class Chosen:
    """What becomes golden."""

    places: dict[str, np.ndarray]
    """By scenario, positions among its candidates, ascending."""

    def rows(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return rows of the reference's samples by scenario."""
        return {name: candidates.rows[name][places] for name, places in self.places.items()}


def choose_rows(
    trials: Sequence[FileTrial],
    candidates: Candidates,
    faults: Sequence[Fault],
    spread: Mapping[str, np.ndarray],
) -> Chosen:
    """Choose the golden rows of every scenario.

    Args:
        trials: of every file that may ship; none where every file was rejected.
        candidates: the rows to choose from.
        faults: what they have to notice, where the model reacts to it.
        spread: of each output, see `TaskSpec.spread`.
    """
    places = {}
    for scenario, rows in candidates.rows.items():
        wanted = GOLDEN_SAMPLES if scenario == ALL else GOLDEN_PER_SCENARIO
        if scenario == PROBES:
            places[scenario] = np.arange(len(rows))
            continue
        if not trials:
            places[scenario] = spread_over(len(rows), wanted)
            continue
        noise = np.max([trial.noise(scenario, spread) for trial in trials], axis=0)
        flipped = np.any([trial.flipped[scenario] for trial in trials], axis=0)
        found: list[int] = []
        for fault in faults:
            if fault.scenario == scenario and candidates.reacts[fault.name]:
                margin = np.min([_margin(trial, fault) for trial in trials], axis=0)
                best = np.argsort(-np.where(flipped, margin / 10, margin), kind="stable")
                found += [int(place) for place in best[:_PER_FAULT]]
        found = list(dict.fromkeys(found))
        # The others are spread over the samples, and no noisier than those, so that tolerances stay narrow.
        limit = max((noise[place] for place in found), default=np.quantile(noise, 0.5))
        quiet = [int(p) for p in np.flatnonzero((noise <= limit) & ~flipped) if int(p) not in found]
        more = [quiet[p] for p in spread_over(len(quiet), max(wanted - len(found), 0))] if quiet else []
        found = found + more or [int(np.argmin(noise))]
        places[scenario] = np.array(sorted(found))
    return Chosen(places)


def tolerances(trial: FileTrial, chosen: Chosen) -> dict[str, dict[str, list[float]]]:
    """Return what a self-test accepts of a file, by scenario and output."""
    return {
        scenario: {name: [float(x) for x in limit] for name, limit in trial.allowed(scenario, places).items()}
        for scenario, places in chosen.places.items()
    }


def _margin(trial: FileTrial, fault: Fault) -> np.ndarray:
    """Return by how many times a fault exceeds what would be allowed on each candidate alone (R,)."""
    margins = []
    for name, moved in trial.moved[fault.name].items():
        difference, floor = trial.differences[fault.scenario][name], trial.floors[name]
        if floor.size == 1:
            moved, difference = moved.max(1, keepdims=True), difference.max(1, keepdims=True)
        # The fault is seen against the Keras model, from which the file differs already.
        margins.append(((moved - difference) / (2 * difference + floor)).max(1))
    return np.asarray(np.max(margins, axis=0))
