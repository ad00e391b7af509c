"""The sources of clips: fight_video by source video, and tables of statements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources import fight_video, statements


def _fights(folder: Path) -> Path:
    lines = ["file,label,source_video"]
    for video, clips in enumerate((9, 4, 4, 3, 2, 2, 1)):
        lines += [f"{video}_{clip}.mp4,{('fight', 'nofight')[clip % 2]},v{video}" for clip in range(clips)]
    lines += ["a.mp4,fight,", "b.mp4,nofight,", "c.mp4,,v0"]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_no_source_video_is_in_two_splits_and_the_folds_are_about_equal(tmp_path: Path):
    folder = str(_fights(tmp_path))
    tests: list[set[str]] = []
    for fold in range(3):
        samples = [sample for sample in fight_video.Source(folder, fold, 3).samples() if sample.values]
        test = {sample.group or "" for sample in samples if sample.split == "test"}
        assert not test & {sample.group for sample in samples if sample.split is None}
        assert 8 <= sum(sample.split == "test" for sample in samples) <= 10
        tests.append(test)
    assert set.union(*tests) == {*(f"v{video}" for video in range(7)), "unknown source"}
    assert sum(map(len, tests)) == 8


def test_clips_without_a_source_stay_together_and_a_row_without_a_label_is_bad(tmp_path: Path):
    *_, first, second, bad = fight_video.Source(str(_fights(tmp_path))).samples()
    assert first.group == second.group == "unknown source"
    assert "no source video" in first.remarks[0]
    assert isinstance(bad.target, DataError)
    assert "empty: label" in str(bad.target)


@pytest.mark.parametrize("options", [{"fold": 5}, {"fold": -1}, {"folds": 1}])
def test_folds_that_cannot_be_are_refused(options: dict[str, int]):
    with pytest.raises(ConfigError, match="expected folds of 2 or more"):
        fight_video.Source("", **options)


@pytest.mark.parametrize("source", [fight_video, statements])
def test_another_folder_is_refused(tmp_path: Path, source):
    with pytest.raises(DataError, match="no such file"):
        list(source.Source(str(tmp_path)).samples())
    name = "labels.csv" if source is fight_video else "statements.csv"
    (tmp_path / name).write_text("other\n1\n")
    with pytest.raises(DataError, match="expected the columns"):
        list(source.Source(str(tmp_path)).samples())


def test_a_statement_without_its_clip_is_a_bad_row(tmp_path: Path):
    (tmp_path / "statements.csv").write_text("clip,statement,answer,split\n,a car,true,train\nx.png,a car,true,test\n")
    bad, good = statements.Source(str(tmp_path)).samples()
    assert "empty: clip" in str(bad.target)
    assert (good.group, good.split) == ("x.png", "test")
    before = statements.Source(str(tmp_path)).fingerprint_inputs()
    (tmp_path / "x.png").write_bytes(b"1")
    assert statements.Source(str(tmp_path)).fingerprint_inputs() != before


def test_the_real_set(shared_data: Callable[[str], Path]):
    folder = next(shared_data("fight_video").rglob("labels.csv")).parent
    samples = list(fight_video.Source(str(folder)).samples())
    assert len(samples) == 300
    assert sum(sample.split == "test" for sample in samples) == 60
    assert all(Path(sample.values["video"]).is_file() for sample in samples)
    assert sum(bool(sample.remarks) for sample in samples) == 28
