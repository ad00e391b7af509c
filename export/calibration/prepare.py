"""The calibration set of an export: a given file, or samples chosen from the model's training data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from export.calibration.audit import audit
from export.calibration.calibration import Calibration
from export.calibration.choose import choose_calibration, choose_samples
from export.calibration.files import load_calibration
from mmkeras.core.errors import ExportError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["CalibrationChoice", "prepare_calibration"]


class CalibrationChoice(Protocol):
    """The part of an export's configuration that is read here."""

    @property
    def calibration(self) -> str:
        """A ``.npz`` file of samples; empty to choose from the training split."""

    @property
    def calibration_samples(self) -> int:
        """Samples to choose; a file is used whole."""


def prepare_calibration(
    source: Source, config: CalibrationChoice, step: Callable[[str], None] = lambda line: None
) -> Calibration:
    """Return the calibration set of an export, audited except for its ranges.

    Raises:
        ConfigError: fewer than one sample is configured.
        DataError: the file cannot be used, or the data is damaged.
        ExportError: the samples do not look like the data the model was trained on, or there is none.
    """
    return audit(_samples(source, config, step), source, step)


def _samples(source: Source, config: CalibrationChoice, step: Callable[[str], None]) -> Calibration:
    if config.calibration:
        return load_calibration(Path(config.calibration), source.specs)
    count = config.calibration_samples
    if source.index is not None:
        return choose_calibration(source.index, source.specs, source.task, count, step=step)
    if source.training:
        return choose_samples(lambda: source.training, source.specs, source.task, count, step=step)
    raise ExportError(
        f"{source.name}: its training data is not at hand, and static int8 measures its ranges on real samples. Export "
        "the run where its data is, or give samples with --calibration FILE.npz."
    )
