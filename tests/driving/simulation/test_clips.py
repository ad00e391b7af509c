"""Sets of simulated clips with statements."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.data.sources.statements import Source
from mmkeras.driving.simulation.clips import STATEMENTS, ClipsConfig, simulate_clips, write_clips
from mmkeras.media.clips.strip import read_strip

CONFIG = ClipsConfig(train=36, validation=18, test=18, frames=4, width=48, height=32, workers=1, other_subject=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_clips(CONFIG, tmp_path_factory.mktemp("clips") / "set")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / STATEMENTS).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_statement_is_as_often_true_as_false(folder: Path):
    rows = _rows(folder)
    assert Counter(row["split"] for row in rows) == {"train": 72, "validation": 36, "test": 36}
    for split, times in (("train", 2), ("validation", 1), ("test", 1)):
        told = Counter((row["statement"], row["answer"]) for row in rows if row["split"] == split)
        assert len(told) == 36
        assert set(told.values()) == {times}
    assert Counter(row["false_in"] for row in rows)["motion"] > 36


def test_a_clip_has_a_true_and_a_false_statement_and_is_in_one_split(folder: Path):
    by_clip: dict[str, list[dict[str, str]]] = {}
    for row in _rows(folder):
        by_clip.setdefault(row["clip"], []).append(row)
    assert len(by_clip) == 72
    for clip, rows in by_clip.items():
        assert sorted(row["answer"] for row in rows) == ["false", "true"]
        assert len({row["split"] for row in rows}) == 1
        strip = read_strip(folder / clip)
        assert strip is not None
        assert strip[0].shape == (4, 32, 48, 3)


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(folder: Path, tmp_path: Path):
    write_clips(ClipsConfig(**{**vars(CONFIG), "workers": 2}), tmp_path)
    for path in ["clips/00000.png", "clips/00071.png", STATEMENTS, "simulation.json"]:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes()
    write_clips(ClipsConfig(**{**vars(CONFIG), "train": 1, "validation": 0, "test": 0, "seed": 1}), tmp_path / "other")
    assert (tmp_path / "other/clips/00000.png").read_bytes() != (folder / "clips/00000.png").read_bytes()


def test_a_complete_set_is_not_written_again(folder: Path):
    before = (folder / STATEMENTS).stat().st_mtime_ns
    assert simulate_clips(CONFIG, folder) == folder
    assert (folder / STATEMENTS).stat().st_mtime_ns == before


def test_the_source_reads_what_is_written(folder: Path):
    source = Source(str(folder))
    samples = list(source.samples())
    assert len(samples) == 144
    assert {sample.target for sample in samples} == {"true", "false"}
    assert set(samples[0].columns) == {"happens", "false_in", "light"}
    assert len({sample.group for sample in samples}) == 72
    assert samples[0].group == samples[1].group
    before = source.fingerprint_inputs()
    assert before == Source(str(folder)).fingerprint_inputs()


@pytest.mark.parametrize("options", [{"train": 0}, {"dusk": 2.0}, {"frames": 1}, {"width": 8}])
def test_wrong_numbers_are_refused(options: dict[str, float]):
    with pytest.raises(ConfigError, match="ClipsConfig"):
        ClipsConfig(**options)  # type: ignore[arg-type]


def test_pictures_of_a_clip_change(folder: Path):
    changed = 0
    for number in range(20):
        strip = read_strip(folder / f"clips/{number:05d}.png")
        assert strip is not None
        changed += np.abs(np.diff(strip[0].astype(int), axis=0)).mean() > 1.0
    assert changed == 20
