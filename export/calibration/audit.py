"""The auditor of a calibration set: refuses what does not look like the training data, warns of what it lacks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from export.calibration.calibration import Calibration
from export.calibration.checks import Check
from export.calibration.choose import SPLIT
from export.calibration.coverage import coverage_warnings
from export.calibration.looks import check_looks
from export.calibration.overlap import overlap_warnings
from export.calibration.traits import RawSample
from export.verification.scenarios import ALL, Scenario, ScenarioInputs
from mmkeras.core.errors import ExportError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["TEST", "audit", "inspect_looks", "split_samples"]

TEST = "test"
"""The split that no calibration sample may be from."""
COMPARED = 400
"""Training samples that a user's samples are held against."""
NAMED = 5
"""Reasons that a refusal gives."""


def audit(calibration: Calibration, source: Source, step: Callable[[str], None] = lambda line: None) -> Calibration:
    """Return the samples with what there is to warn of, before any range is measured.

    Samples that were chosen from the training split are not held against it.

    Args:
        calibration: the samples.
        source: the model with its specs and data.
        step: called with a line now and then; for a progress bar.

    Raises:
        ExportError: samples of a file do not look like the data that the model was trained on.
    """
    if calibration.source != SPLIT:
        failed = [check for check in inspect_looks(calibration, source, step) if not check.passed]
        if failed:
            more = f"\n  and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            raise ExportError(
                f"{calibration.source}: these samples do not look like the data that the model was trained on, and "
                "ranges measured on them would be wrong:\n"
                + "\n".join(f"  {check}" for check in failed[:NAMED])
                + f"{more}\nGive real samples as the modalities' own preprocessing makes them, or none, to have them "
                "chosen from the training split."
            )
    warnings = coverage_warnings(calibration, source.specs)
    warnings += overlap_warnings(calibration, split_samples(source, TEST), source.specs, step)
    return calibration.with_warnings(warnings)


def inspect_looks(
    calibration: Calibration, source: Source, step: Callable[[str], None] = lambda line: None
) -> list[Check]:
    """Measure samples against training samples spread over the split; where there are none, against test samples."""
    step("calibration: compared with training samples")
    total = source.index.samples(SPLIT) if source.index is not None else len(source.training)
    known = split_samples(source, SPLIT) if total else source.samples
    spread = itertools.islice(known, 0, None, max(1, (total or len(source.samples)) // COMPARED))
    values = [sample.values for sample in itertools.islice(spread, COMPARED)]
    return check_looks(calibration.inputs, ScenarioInputs(source.specs, values).inputs(Scenario(ALL)), source.specs)


def split_samples(source: Source, split: str) -> Iterable[RawSample]:
    """Return the samples of a split, one at a time where they are converted; those in memory otherwise."""
    if source.index is None:
        return {SPLIT: source.training, TEST: source.samples}.get(split, ())
    if not source.index.samples(split):
        return ()
    from mmkeras.data.read import iterate_samples

    return iterate_samples(source.index, split)
