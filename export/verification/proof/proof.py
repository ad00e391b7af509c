"""From verified files to golden samples: what the bundle's self-test will replay, and proof that it notices faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.attempt import Tried
from export.source import Source
from export.verification.passes import run_batches
from export.verification.proof.candidates import Candidates, candidates
from export.verification.proof.choose import Chosen, choose_rows, tolerances
from export.verification.proof.faults import Fault, planted
from export.verification.proof.probes import PROBES, probe_case
from export.verification.proof.trial import FileTrial, floors, try_file
from export.verification.runners import opened
from export.verification.verify import Case, Reference
from mmkeras.bundle.golden import Golden
from mmkeras.runtime.replay import replay

__all__ = ["Proof", "prove"]


@dataclass(frozen=True)
class Proof:
    """Golden samples, and the files with what a self-test accepts of each."""

    golden: Golden
    """The samples; ``raw`` is -1 everywhere and the keys are those of the data."""
    values: list[dict[str, Any]]
    """Raw values by modality of each golden sample."""
    tried: list[Tried]
    """Every file; one whose self-test would let a fault pass is no longer accepted."""
    faults: dict[str, str]
    """By fault: ``caught`` or ``no effect``."""


def prove(
    source: Source, reference: Reference, tried: Sequence[Tried], step: Callable[[str], None] = lambda line: None
) -> Proof:
    """Choose golden samples and tolerances, plant every fault into every accepted file, and see it noticed.

    Args:
        source: what is exported.
        reference: the Keras model on the test samples.
        tried: every file, judged by its gate.
        step: called with a line before each file, for a progress bar.

    Raises:
        ExportError: preprocessing on a device gives other inputs than training.
    """
    faults = planted(source.specs, source.task)
    values = [sample.values for sample in source.samples]
    probes = probe_case(source.specs, values, reference.infer)
    cases = [*reference.cases, *([probes[0]] if probes else [])]
    step("golden samples: what the model reacts to")
    found = candidates(reference, cases, faults)
    trials: dict[Path, FileTrial] = {}
    for each in tried:
        if each.result.accepted and each.path is not None:
            step(f"golden samples: {each.label}")
            with opened(each.format.name, each.path) as file:
                limits = floors(each.result.precision, each.format.tolerance, reference)
                trials[each.path] = try_file(file, cases, found, faults, reference, limits)
    chosen = choose_rows(list(trials.values()), found, faults, reference.spread)
    raw = {case.scenario.name: probes[1] if probes and case.scenario.name == PROBES else values for case in cases}
    golden, raw_values = _golden(cases, chosen.rows(found), reference, raw)
    judged = [_judged(each, trials, chosen, found, faults, source, golden) for each in tried]
    verdicts = {fault.name: "caught" if found.reacts[fault.name] else "no effect" for fault in faults}
    return Proof(golden, raw_values, judged, verdicts)


def _judged(
    each: Tried,
    trials: dict[Path, FileTrial],
    chosen: Chosen,
    found: Candidates,
    faults: Sequence[Fault],
    source: Source,
    golden: Golden,
) -> Tried:
    """Return a file with its tolerances, rejected where its self-test would let a fault pass."""
    trial = trials.get(each.path) if each.path is not None else None
    if trial is None or each.path is None:
        return each
    limits = tolerances(trial, chosen)
    escaped = []
    with opened(each.format.name, each.path) as file:
        honest = run_batches(file.infer, golden.inputs, file.size)
        flipped = [int(row) for row in np.flatnonzero(source.task.flips(golden.outputs, honest))]
        for fault in (fault for fault in faults if found.reacts[fault.name]):
            rows = np.flatnonzero(np.array(golden.scenarios) == fault.scenario)
            inputs = fault.inputs({name: value[rows] for name, value in golden.inputs.items()})
            faulty = {name: value.copy() for name, value in honest.items()}
            for name, value in fault.outputs(run_batches(file.infer, inputs, file.size)).items():
                faulty[name][rows] = value
            if not replay(source.task, golden, faulty, limits, flipped).reason:
                escaped.append(fault.name)
    result = dataclasses.replace(each.result, tolerances=limits, flipped=tuple(flipped))
    reason = replay(source.task, golden, honest, limits, flipped).reason
    if escaped:
        reason = f"its self-test on a device would not notice: {', '.join(escaped)}"
    return dataclasses.replace(each, result=dataclasses.replace(result, accepted=not reason, reason=reason))


def _golden(
    cases: Sequence[Case], rows: dict[str, np.ndarray], reference: Reference, raw: dict[str, Any]
) -> tuple[Golden, list[dict[str, Any]]]:
    def stacked(pick: Callable[[Case], Mapping[str, Any]]) -> dict[str, np.ndarray]:
        parts = [(pick(case), rows[case.scenario.name]) for case in cases]
        return {name: np.concatenate([part[name][chosen] for part, chosen in parts]) for name in parts[0][0]}

    keys, names, targets, values = [], [], [], []
    for case in cases:
        scenario = case.scenario.name
        for row in rows[scenario]:
            probe = scenario == PROBES
            keys.append(f"probe/{row}" if probe else reference.keys[row])
            names.append(scenario)
            targets.append(np.zeros_like(reference.targets[0]) if probe else reference.targets[row])
            values.append(dict(raw[scenario][row]))
    golden = Golden(
        keys=tuple(keys),
        scenarios=tuple(names),
        inputs=stacked(lambda case: case.inputs),
        outputs=stacked(lambda case: case.outputs),
        targets=np.stack(targets),
        raw=np.full(len(keys), -1, np.int32),
    )
    return golden, values
