"""Chooses golden samples on which every fault is visible in every file, and tolerances narrower than its effect.

A sample is the better, the more a fault changes its outputs beyond the tolerance of a device. That tolerance is small
where the file is close to the Keras model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from export.verification.proof.candidates import Candidates, spread_over
from export.verification.proof.faults import Fault
from export.verification.proof.probes import PROBES
from export.verification.proof.trial import FileTrial
from export.verification.scenarios import ALL

__all__ = ["choose_rows", "tolerances"]

GOLDEN_SAMPLES = 8
"""Golden samples of the scenario ``all``, with their raw inputs."""
GOLDEN_PER_SCENARIO = 3
"""Golden samples of every other scenario."""
_PER_FAULT = 2


def choose_rows(
    trials: Sequence[FileTrial],
    candidates: Candidates,
    faults: Sequence[Fault],
    spread: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Choose the golden samples of every scenario: they must reveal the faults that the model reacts to.

    ``trials`` are those of the accepted files, and ``spread`` is from `TaskSpec.spread`.

    Returns:
        Positions among the candidates of each scenario, ascending.
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
        # The rest is spread over the samples, and no noisier than these, so that tolerances stay narrow.
        limit = max((noise[place] for place in found), default=np.quantile(noise, 0.5))
        quiet = [int(p) for p in np.flatnonzero((noise <= limit) & ~flipped) if int(p) not in found]
        more = [quiet[p] for p in spread_over(len(quiet), max(wanted - len(found), 0))] if quiet else []
        found = found + more or [int(np.argmin(noise))]
        places[scenario] = np.array(sorted(found))
    return places


def tolerances(trial: FileTrial, places: Mapping[str, np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """Return the tolerances of a file's self-test by scenario and output; ``places`` are from `choose_rows`."""
    return {
        scenario: {name: [float(x) for x in limit] for name, limit in trial.allowed(scenario, chosen).items()}
        for scenario, chosen in places.items()
    }


def _margin(trial: FileTrial, fault: Fault) -> np.ndarray:
    """Return the effect of a fault on each candidate, as a multiple of the candidate's own tolerance (R,)."""
    margins = []
    for name, moved in trial.moved[fault.name].items():
        difference, floor = trial.differences[fault.scenario][name], trial.floors[name]
        if floor.size == 1:
            moved, difference = moved.max(1, keepdims=True), difference.max(1, keepdims=True)
        # The self-test compares with the Keras model, from which the file differs already.
        margins.append(((moved - difference) / (2 * difference + floor)).max(1))
    return np.asarray(np.max(margins, axis=0))
