"""Converted tables and files of calibration samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmkeras.data import Index, convert
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import good_rows, modality_configs, table_config, write_csv, write_images

Data = tuple[Index, dict[str, ModalitySpec]]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """120 rows with three labels, of which the last is rare; some without a picture, some without a question."""
    folder = tmp_path_factory.mktemp("calibration")
    rows = good_rows(write_images(folder, 6), 120)
    for number, row in enumerate(rows):
        row["label"] = "c" if number % 20 == 3 else "ab"[number % 2]
        row["question"] = " ".join(f"word{n % 10}" for n in range(1 + number % 5))
        if number % 15 == 4:
            row["file"] = ""
        elif number % 15 == 9:
            row["question"] = ""
    configs = modality_configs(folder)
    path = write_csv(folder / "t.csv", rows)
    config = table_config(path, folder / "out", {"missing": "absent"}, keep_together="none")
    index = convert(config, configs, TaskConfig())
    return index, {name: each.spec(name) for name, each in configs.items()}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes arrays into a .npz file."""

    def save(**arrays: object) -> Path:
        path = tmp_path / "samples.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return path

    return save
