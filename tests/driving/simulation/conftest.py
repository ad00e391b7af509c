"""A few small simulated drives, shared by the tests of the simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmkeras.driving.simulation import SimulationConfig, simulate

SMALL = SimulationConfig(
    train_scenes=4, validation_scenes=1, test_scenes=2, scene_seconds=2.0, night=0.25, rain=0.25, fog=0.25, workers=1
)


@pytest.fixture(scope="session")
def small() -> SimulationConfig:
    return SMALL


@pytest.fixture(scope="session")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(SMALL, tmp_path_factory.mktemp("simulation") / "drives")


@pytest.fixture(scope="session")
def tables(drives: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: json.loads(path.read_bytes()) for path in (drives / "v1.0-sim").glob("*.json")}
