"""A tiny model with random weights, exported once, in place of the trained subject."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from export.run import export_source
from export.source import Source
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from tests.export.conftest import source
from tests.mutants.bench import Bench

__all__ = ["bench", "source"]


@pytest.fixture(scope="session")
def bench(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The tiny model's LiteRT files in float32 and int8."""
    folder = tmp_path_factory.mktemp("mutants")
    # One decision of the 48 samples is two points.
    config = ExportConfig(
        folder=str(folder), formats=("tflite",), precisions=("float32", "int8-weights"), max_metric_drop=5
    )
    report = export_source(source, config, console=Console(file=io.StringIO()))
    assert report.accepted, [file.reason for file in report.files]
    return Bench(source, Path(report.folder), Path(report.folder), folder / "models", config, seed=0)
