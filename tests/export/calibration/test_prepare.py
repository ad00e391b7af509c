from __future__ import annotations

import dataclasses

import pytest

from export.calibration import prepare_calibration, save_calibration
from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import ExportError


def config(path: object = "", samples: int = 32) -> ExportConfig:
    return ExportConfig(calibration=str(path), calibration_samples=samples)


def test_samples_in_memory_or_from_a_file(source, tmp_path):
    chosen = prepare_calibration(source, config())
    assert len(chosen) == 32
    assert chosen.source == "train"
    path = save_calibration(chosen, tmp_path / "set.npz")
    loaded = prepare_calibration(source, config(path))
    assert loaded.fingerprint == chosen.fingerprint
    assert loaded.source == str(path)


def test_without_data_there_is_no_calibration(source):
    with pytest.raises(ExportError, match="training data is not at hand"):
        prepare_calibration(dataclasses.replace(source, training=()), config())
