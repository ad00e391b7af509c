from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.driving.simulation import SimulationConfig, simulate
from mmkeras.driving.simulation.config import plan_scenes
from mmkeras.driving.simulation.simulate import simulate as run

TINY = SimulationConfig(
    train_scenes=2, validation_scenes=1, test_scenes=2, scene_seconds=0.5, replay_scenes=0, sweeps=2, workers=1
)


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(TINY, tmp_path_factory.mktemp("tiny") / "drives")


def test_a_seed_decides_every_byte_whatever_the_workers(tiny: Path, tmp_path: Path):
    again = simulate(dataclasses.replace(TINY, workers=2), tmp_path / "again")
    assert _digest(again) == _digest(tiny)


def test_another_seed_gives_other_drives(tiny: Path, tmp_path: Path):
    other = _digest(simulate(dataclasses.replace(TINY, seed=1), tmp_path / "other"))
    same = [name for name, digest in _digest(tiny).items() if other.get(name) == digest and "samples/" in name]
    assert not same


def test_a_killed_run_goes_on_with_what_is_missing(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = __import__("sys").modules[run.__module__]
    real = module._simulate_scene
    done: list[str] = []

    def dies_after_two(request, config, folder):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(request.name)
        real(request, config, folder)

    target = tmp_path / "drives"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_simulate_scene", dies_after_two)
        with pytest.raises(KeyboardInterrupt):
            simulate(TINY, target)
    assert not target.exists()
    partial = tmp_path / "drives.partial"
    first = partial / "parts" / f"{done[0]}.json"
    before = first.stat().st_mtime_ns
    # A scene that was cut short leaves files, but no part: it is simulated again.
    (partial / "samples" / "CAM_FRONT" / "scene-0003__CAM_FRONT__1600001200000000.jpg").write_bytes(b"half")
    again: list[str] = []

    def counts(request, config, folder):
        again.append(request.name)
        real(request, config, folder)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_simulate_scene", counts)
        simulate(TINY, target)
    assert len(again) == TINY.scenes - 2
    assert not set(again) & set(done)
    assert before
    assert not partial.exists()
    assert _digest(target) == _digest(tiny)


def test_what_was_left_by_another_configuration_is_not_used(tmp_path: Path, tiny: Path):
    partial = tmp_path / "drives.partial"
    (partial / "parts").mkdir(parents=True)
    (partial / "simulation.json").write_text('{"format": 0}')
    (partial / "parts" / "scene-0001.json").write_text("{}")
    assert _digest(simulate(TINY, tmp_path / "drives")) == _digest(tiny)


def test_a_finished_directory_is_kept_and_a_foreign_one_refused(tiny: Path, tmp_path: Path):
    before = (tiny / "samples.png").stat().st_mtime_ns
    assert simulate(TINY, tiny) == tiny
    assert (tiny / "samples.png").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="delete it or name another folder"):
        simulate(dataclasses.replace(TINY, seed=5), tiny)
    with pytest.raises(DataError, match="delete it or name another folder"):
        simulate(TINY, tmp_path)


def test_shares_hold_in_every_split():
    config = SimulationConfig()
    requests = plan_scenes(config)
    assert len({request.name for request in requests}) == config.scenes == len(requests)
    for split, count in (("train", 150), ("validation", 20), ("test", 35)):
        chosen = [request.conditions for request in requests if request.split == split]
        assert len(chosen) == count
        for share, value in ((config.night, "night"), (config.dusk, "dusk")):
            assert sum(c.time_of_day == value for c in chosen) == round(count * share)
        for share, value in ((config.fog, "fog"), (config.rain, "rain")):
            assert sum(c.weather == value for c in chosen) == round(count * share)
    (replay,) = [request for request in requests if request.replay]
    assert (replay.split, replay.conditions.time_of_day, replay.conditions.weather) == ("test", "day", "clear")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"night": 1.5}, "share from 0 to 1"),
        ({"rain": 0.6, "fog": 0.6}, "together exceed 1"),
        ({"train_scenes": 0, "validation_scenes": 0, "test_scenes": 0}, "at least one scene"),
        ({"key_rate": 0.0}, "more than 0"),
        ({"width": 511}, "even image"),
        ({"field_of_view": 170.0}, "20 to 120 degrees"),
        ({"sweeps": 0}, "sweeps of 1 or more"),
        ({"radar_rate": 1.0}, "2 per second or more"),
    ],
)
def test_impossible_numbers_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        SimulationConfig(**change)


def test_the_note_names_the_configuration(tiny: Path):
    note = json.loads((tiny / "simulation.json").read_bytes())
    assert note["seed"] == 0
    assert "workers" not in note


def test_finished_drives_need_no_lock(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(sys.modules["mmkeras.driving.simulation.simulate"], "locked", refuse)
    assert simulate(TINY, tiny) == tiny
