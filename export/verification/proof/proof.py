"""Chooses the golden samples of a bundle, and proves that its self-test detects faults in every file."""

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
from export.verification.proof.candidates import candidates
from export.verification.proof.choose import choose_rows, tolerances
from export.verification.proof.faults import Fault, faults_of
from export.verification.proof.probes import PROBES, probe_case
from export.verification.proof.trial import FileTrial, floors, try_file
from export.verification.runners import opened
from export.verification.verify import Case, Reference
from mmkeras.bundle.golden import Golden
from mmkeras.runtime.replay import replay

__all__ = ["Proof", "prove"]


@dataclass(frozen=True)
class Proof:
    """Golden samples, and the files with the tolerances of their self-tests."""

    golden: Golden
    """The samples with the keys of the data; ``raw`` is -1 everywhere."""
    values: list[dict[str, Any]]
    """Raw values by modality of each golden sample."""
    tried: list[Tried]
    """Every file; one whose self-test misses a fault is no longer accepted."""
    faults: dict[str, str]
    """``caught`` or ``no effect`` by fault."""


def prove(
    source: Source, reference: Reference, tried: Sequence[Tried], step: Callable[[str], None] = lambda line: None
) -> Proof:
    """Choose golden samples and tolerances, and replay the self-test of every accepted file with every fault.

    ``step`` is called with a line before each file, for a progress bar.

    Raises:
        ExportError: preprocessing on a device gives other inputs than training.
    """
    faults = faults_of(source.specs, source.task)
    values = [sample.values for sample in source.samples]
    probes = probe_case(source.specs, values, reference.infer)
    cases = [*reference.cases, *([probes[0]] if probes else [])]
    step("golden samples: trying faults on the Keras model")
    found = candidates(reference, cases, faults)
    trials: dict[Path, FileTrial] = {}
    for each in tried:
        if each.result.accepted and each.path is not None:
            step(f"golden samples: {each.format.name} {each.result.precision}")
            with opened(each.format.name, each.path) as file:
                limits = floors(each.result.precision, each.format.tolerance, reference)
                trials[each.path] = try_file(file, cases, found, faults, reference, limits)
    chosen = choose_rows(list(trials.values()), found, faults, reference.spread)
    rows = {scenario: found.rows[scenario][places] for scenario, places in chosen.items()}
    raw = {case.scenario.name: probes[1] if probes and case.scenario.name == PROBES else values for case in cases}
    golden, raw_values = _golden(cases, rows, reference, raw)
    noticed = [fault for fault in faults if found.reacts[fault.name]]
    judged = [_judged(each, trials, chosen, noticed, source, golden) for each in tried]
    verdicts = {fault.name: "caught" if found.reacts[fault.name] else "no effect" for fault in faults}
    return Proof(golden, raw_values, judged, verdicts)


def _judged(
    each: Tried,
    trials: dict[Path, FileTrial],
    chosen: dict[str, np.ndarray],
    faults: Sequence[Fault],
    source: Source,
    golden: Golden,
) -> Tried:
    """Return a file with its tolerances, rejected where its self-test misses a fault."""
    if each.path is None or each.path not in trials:
        return each
    limits = tolerances(trials[each.path], chosen)
    missed = []
    with opened(each.format.name, each.path) as file:
        correct = run_batches(file.infer, golden.inputs, file.size)
        flipped = [int(row) for row in np.flatnonzero(source.task.flips(golden.outputs, correct))]
        for fault in faults:
            rows = np.flatnonzero(np.array(golden.scenarios) == fault.scenario)
            inputs = fault.inputs({name: value[rows] for name, value in golden.inputs.items()})
            faulty = {name: value.copy() for name, value in correct.items()}
            for name, value in fault.outputs(run_batches(file.infer, inputs, file.size)).items():
                faulty[name][rows] = value
            if not replay(source.task, golden, faulty, limits, flipped).reason:
                missed.append(fault.name)
    result = dataclasses.replace(each.result, tolerances=limits, flipped=tuple(flipped))
    reason = replay(source.task, golden, correct, limits, flipped).reason
    if missed:
        reason = f"its self-test on a device would not detect: {', '.join(missed)}"
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
        chosen = rows[scenario]
        if scenario == PROBES:
            keys += [f"probe/{row}" for row in chosen]
            targets.append(np.zeros_like(np.repeat(reference.targets(slice(1)), len(chosen), axis=0)))
        else:
            keys += [reference.keys[row] for row in chosen]
            targets.append(reference.targets(chosen))
        names += [scenario] * len(chosen)
        values += [dict(raw[scenario][row]) for row in chosen]
    golden = Golden(
        keys=tuple(keys),
        scenarios=tuple(names),
        inputs=stacked(lambda case: case.inputs),
        outputs=stacked(lambda case: case.outputs),
        targets=np.concatenate(targets),
        raw=np.full(len(keys), -1, np.int32),
    )
    return golden, values
