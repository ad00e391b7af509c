"""The calibration set of an export: a given file, or samples chosen from the model's training data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from export.calibration.audit import audit
from export.calibration.calibration import Calibration, load_calibration
from export.calibration.choose import choose_calibration, choose_samples
from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import ExportError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["prepare_calibration"]


def prepare_calibration(
    source: Source, config: ExportConfig, step: Callable[[str], None] = lambda line: None
) -> Calibration:
    """Return the calibration set of an export; `audit` has checked it.

    Raises:
        ConfigError: fewer than one sample is configured.
        DataError: the file cannot be used, or the data is damaged.
        ExportError: the samples do not look like the training data, or there is no training data.
    """
    count = config.calibration_samples
    if config.calibration:
        samples = load_calibration(Path(config.calibration), source.specs, part=source.held_to_itself)
    elif source.index is not None:
        samples = choose_calibration(source.index, source.specs, source.task, count, step=step)
    elif source.training:
        samples = choose_samples(lambda: source.training, source.specs, source.task, count, step=step)
    else:
        raise ExportError(
            f"{source.name}: its training data is not at hand, and static int8 measures its ranges on real samples. "
            "Export the run where its data is, or give samples with --calibration FILE.npz."
        )
    return audit(samples, source, step)
