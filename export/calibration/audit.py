"""Audits a calibration set: refuses samples that do not look like the training data and warns of missing coverage."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from export.calibration.calibration import Calibration, fingerprint_of
from export.calibration.checks import Check, check_mask, check_measurements, check_pictures, check_tokens
from export.calibration.choose import SPLIT
from export.calibration.traits import RawSample, mask_of
from export.verification.scenarios import ALL, Scenario, ScenarioInputs
from mmkeras.core.errors import ExportError
from mmkeras.modalities import ModalitySpec, TensorSpec

if TYPE_CHECKING:
    from export.source import Source

__all__ = [
    "TEST",
    "audit",
    "check_looks",
    "coverage_warnings",
    "inspect_looks",
    "overlap_warnings",
    "shared_samples",
    "split_samples",
]

LEAST = 2
"""A modality present in fewer samples is not checked."""
ENOUGH = 100
"""With fewer samples, ranges still change from set to set."""
DISTINCT = 0.9
"""Share of the samples that should differ from all others."""
NAMED = 5
"""Classes in a warning, and reasons in a refusal."""
TEST = "test"
COMPARED = 400
"""Training samples that a user's samples are compared with."""
REMEMBERED = 100_000
"""Raw values whose digests are cached: pictures and questions occur many times."""


def check_looks(
    inputs: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray], specs: Mapping[str, ModalitySpec]
) -> list[Check]:
    """Compare properties of samples with those of training samples; a check that did not pass is a reason to refuse.

    The checks follow from a tensor's dtype and shape, so a new modality is audited too. Samples without the modality
    are left out.
    """
    checks: list[Check] = []
    for spec in specs.values():
        present, known = (each[spec.present.name] > 0 for each in (inputs, training))
        if present.sum() < LEAST or known.sum() < LEAST:
            continue
        mask = mask_of(spec)
        got_mask = inputs[mask.name][present] if mask else None
        usual_mask = training[mask.name][known] if mask else None
        for tensor in spec.tensors:
            got, usual = inputs[tensor.name][present], training[tensor.name][known]
            if tensor == mask:
                checks += check_mask(tensor.name, got, usual)
            elif _is_picture(tensor):
                checks += check_pictures(tensor.name, got, usual)
            elif tensor.dtype == "int32" and got_mask is not None and usual_mask is not None:
                checks += check_tokens(tensor.name, got, got_mask, usual, usual_mask)
            elif tensor.dtype == "float32":
                checks += check_measurements(tensor.name, got, got_mask, usual, usual_mask)
    return checks


def _is_picture(tensor: TensorSpec) -> bool:
    """Return whether a tensor (..., height, width, channels) holds pictures."""
    return len(tensor.shape) >= 3 and tensor.shape[-1] in (1, 3, 4) and min(tensor.shape[-3:-1]) >= 4


def coverage_warnings(calibration: Calibration, specs: Mapping[str, ModalitySpec]) -> list[str]:
    """Return a warning for each kind of input that the samples do not cover."""
    count, inputs = len(calibration), calibration.inputs
    found = []
    if count < ENOUGH:
        found.append(f"{count} samples are few to measure ranges on; use {ENOUGH} or more.")
    different = len({fingerprint_of({n: array[row] for n, array in inputs.items()}) for row in range(count)})
    if different < DISTINCT * count:
        found.append(f"Only {different} of the {count} samples differ from each other.")
    missing = [label for label, held in calibration.strata.get("class", {}).items() if not held]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        found.append(f"No sample has the class {', '.join(missing[:NAMED])}{more}.")
    for name, spec in specs.items():
        present = inputs[spec.present.name] > 0
        mask = mask_of(spec)
        if not present.any():
            found.append(f"No sample has {name}: the ranges of its branch are those of a missing input.")
        elif mask and not inputs[mask.name][present].any():
            found.append(f"{name} is empty in every sample: the ranges of its branch are those of an empty input.")
        if len(specs) > 1 and np.all(present):
            found.append(f"Every sample has {name}: the ranges without it are not measured.")
    return found


def audit(calibration: Calibration, source: Source, step: Callable[[str], None] = lambda line: None) -> Calibration:
    """Return the samples with their warnings, before any range is measured.

    Only samples of a file are compared with the training split: chosen samples come from it.

    Raises:
        ExportError: the samples of a file do not look like the training data.
    """
    if calibration.source != SPLIT:
        failed = [check for check in inspect_looks(calibration, source, step) if not check.passed]
        if failed:
            more = f"\n  and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            raise ExportError(
                f"{calibration.source}: these samples do not look like the data that the model was trained on, and "
                "ranges measured on them would be wrong:\n"
                + "\n".join(f"  {check}" for check in failed[:NAMED])
                + f"{more}\nGive real samples as the modalities' own preprocessing makes them, or leave the file out: "
                "samples are then chosen from the training split."
            )
    warnings = coverage_warnings(calibration, source.specs)
    warnings += overlap_warnings(calibration, split_samples(source, TEST), source.specs, step)
    return calibration.with_warnings(warnings)


def inspect_looks(
    calibration: Calibration, source: Source, step: Callable[[str], None] = lambda line: None
) -> list[Check]:
    """Compare samples with training samples spread over the split; without training samples, with test samples."""
    step("calibration: comparing with training samples")
    total = source.index.samples(SPLIT) if source.index is not None else len(source.training)
    known = split_samples(source, SPLIT) if total else source.samples
    spread = itertools.islice(known, 0, None, max(1, (total or len(source.samples)) // COMPARED))
    values = [sample.values for sample in itertools.islice(spread, COMPARED)]
    return check_looks(calibration.inputs, ScenarioInputs(source.specs, values).inputs(Scenario(ALL)), source.specs)


def split_samples(source: Source, split: str) -> Iterable[RawSample]:
    """Return the samples of a split: read one at a time from converted data, or those in memory."""
    if source.index is None:
        return {SPLIT: source.training, TEST: source.samples}.get(split, ())
    if not source.index.samples(split):
        return ()
    from mmkeras.data.read import iterate_samples

    return iterate_samples(source.index, split)


def overlap_warnings(
    calibration: Calibration,
    test: Iterable[RawSample],
    specs: Mapping[str, ModalitySpec],
    step: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return a warning if the tensors of some samples equal those of test samples; an empty list otherwise."""
    shared = shared_samples(calibration, test, specs, step)
    if not shared:
        return []
    key, other = next(iter(shared.items()))
    return [
        f"{len(shared)} of the {len(calibration)} samples are in the test split too, such as {key} (there {other}): "
        "the file's scores on that split are too high."
    ]


def shared_samples(
    calibration: Calibration,
    test: Iterable[RawSample],
    specs: Mapping[str, ModalitySpec],
    step: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """Return the test sample's key by the calibration sample's key, for pairs whose tensors are all equal.

    ``step`` is called with a line on every thousandth test sample.
    """
    # Small modalities first: where one differs from all samples, the large ones are not preprocessed.
    ordered = sorted(specs.values(), key=lambda spec: sum(int(np.prod(t.shape)) for t in spec.tensors))
    prepared = [(spec.name, _Digests(spec), _rows_by_digest(calibration, spec)) for spec in ordered]
    shared: dict[str, str] = {}
    for position, sample in enumerate(test):
        if position % 1000 == 0:
            step(f"calibration: comparing with test samples, {position} done")
        rows = set(range(len(calibration)))
        for name, digests, known in prepared:
            rows &= known.get(digests.of(sample.values.get(name)), set())
            if not rows:
                break
        shared |= {calibration.keys[row]: sample.key for row in rows}
    return shared


class _Digests:
    """Digests of a modality's tensors, cached by raw value."""

    def __init__(self, spec: ModalitySpec) -> None:
        self._spec = spec
        self._seen: dict[bytes, str] = {}

    def of(self, value: Any) -> str:
        """Return the digest of a raw value's tensors."""
        if not isinstance(value, str | bytes):
            return self._digest(value)
        raw = hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()
        if raw not in self._seen:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[raw] = self._digest(value)
        return self._seen[raw]

    def _digest(self, value: Any) -> str:
        tensors = self._spec.inputs(value)
        return fingerprint_of({name: tensors[name] for name in _names(self._spec)})


def _rows_by_digest(calibration: Calibration, spec: ModalitySpec) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for row in range(len(calibration)):
        digest = fingerprint_of({name: calibration.inputs[name][row] for name in _names(spec)})
        found.setdefault(digest, set()).add(row)
    return found


def _names(spec: ModalitySpec) -> list[str]:
    return [tensor.name for tensor in (*spec.tensors, spec.present)]
