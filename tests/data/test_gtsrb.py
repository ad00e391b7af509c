from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import DataError
from mmkeras.data.convert import convert
from mmkeras.data.read import read_samples
from mmkeras.data.sources import Sample
from mmkeras.data.sources.gtsrb import ALIKE, CLASSES, COPY, LEAK, LIMITS, Source
from mmkeras.data.splits import assign
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.signs import photo, write_listed, write_official, write_test


def samples(folder: Path) -> dict[str, Sample]:
    return {sample.key: sample for sample in Source(str(folder)).samples()}


def test_the_official_layout_gives_classes_tracks_and_sizes(tmp_path: Path):
    found = samples(write_official(tmp_path))
    assert len(found) == 3 * 4 * 3
    one = found["00001/00003_00002"]
    assert (one.target, one.group, one.split) == ("30 km/h", "00001/00003", None)
    assert (one.columns, one.remarks) == ({"size": "35 to 49 px"}, ())
    assert one.origin == "GTSRB/Final_Training/Images/00001/GT-00001.csv:13"


def test_official_test_pictures_are_the_test_split_and_take_their_classes_from_the_other_archive(tmp_path: Path):
    found = samples(write_test(write_official(tmp_path)))
    test = [sample for sample in found.values() if sample.split == "test"]
    assert [sample.target for sample in test] == [CLASSES[place % 3] for place in range(6)]
    assert len({sample.group for sample in test}) == 6
    assert {sample.split for sample in found.values()} == {"train", "test"}


def test_two_parts_share_their_tracks_and_the_larger_copy_of_a_frame_is_taken(tmp_path: Path):
    write_official(tmp_path / "small")
    write_listed(tmp_path / "large", [(0, 1, 2), (0, 1, 7)])
    found = samples(tmp_path)
    assert len(found) == 3 * 4 * 3 + 1
    copy, further = found["00000/00001_00002"], found["00000/00001_00007"]
    assert copy.remarks == (COPY,)
    assert (copy.columns, copy.group) == ({"size": "50 to 79 px", "part": "large"}, "00000/00001")
    assert further.group == copy.group


def test_a_photo_in_two_tracks_joins_them_even_at_another_size(tmp_path: Path):
    write_official(tmp_path / "small")
    write_listed(tmp_path / "large", [(2, 77, 1)])
    photo(2, 3, 1, side=70).save(tmp_path / "large" / "images" / "00002_00077_00001.png")
    found = samples(tmp_path)
    assert found["00002/00077_00001"].group == found["00002/00003_00000"].group
    assert found["00002/00077_00001"].remarks == found["00002/00003_00001"].remarks == (ALIKE,)
    for seed in range(5):
        splits = assign(list(found.values()), DataConfig(stratify=True, split_seed=seed))
        side = dict(zip(found, splits, strict=True))
        assert side["00002/00077_00001"] == side["00002/00003_00001"]
    apart = {sample.key: sample for sample in Source(str(tmp_path), copies=False).samples()}
    assert apart["00002/00077_00001"].group == "00002/00077"


def test_a_test_picture_that_training_has_too_is_reported(tmp_path: Path):
    write_test(write_official(tmp_path))
    photo(0, 0, 0).save(tmp_path / "GTSRB/Final_Test/Images/00003.ppm")
    found = samples(tmp_path)
    assert found["test/00003"].remarks == found["00000/00000_00000"].remarks == (LEAK,)
    assert found["test/00003"].split == "test"


def test_every_picture_that_cannot_be_used_is_named(tmp_path: Path):
    folder = write_official(tmp_path) / "GTSRB" / "Final_Training" / "Images" / "00000"
    photo(0, 0, 0).save(folder / "00000_00099.ppm")
    photo(0, 0, 0).save(folder / "front.ppm")
    sheet = folder / "GT-00000.csv"
    text = sheet.read_text().replace("00001_00000.ppm;40;40;5;5;35;35;0", "00001_00000.ppm;40;40;5;5;35;35;zero")
    sheet.write_text(text + "front.ppm;40;40;5;5;35;35;0\n")
    (folder / "00002_00000.ppm").unlink()
    (folder / "00003_00000.ppm").write_bytes(b"P6 damaged")
    found = samples(tmp_path)
    bad = {
        key.rpartition("/")[2]: str(sample.target)
        for key, sample in found.items()
        if isinstance(sample.target, Exception)
    }
    assert bad.keys() == {"00000_00099.ppm", "front.ppm", "00001_00000.ppm"}
    assert "no row in GTSRB/Final_Training/Images/00000/GT-00000.csv" in bad["00000_00099.ppm"]
    assert "expected a name like 00003_00012.ppm" in bad["front.ppm"]
    assert "expected the number of a class, got 'zero'" in bad["00001_00000.ppm"]
    (note,) = {remark for sample in found.values() for remark in sample.remarks}
    assert note.startswith("1 annotated signs have no picture")
    config = DataConfig(
        Choice("gtsrb", {"folder": str(tmp_path)}), str(tmp_path / "data"), stratify=True, workers=1, max_bad_share=0.5
    )
    index = convert(config, {"image": ImageConfig(size=(16, 16))}, TaskConfig())
    assert index.quarantined == 4
    assert index.rows == 3 * 4 * 3 + 1, "the damaged picture is quarantined by the conversion"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected the annotations of GTSRB"),
        ("a;b\n1;2\n", r"expected the columns Filename, ClassId, got \['a', 'b'\]"),
    ],
)
def test_a_folder_that_is_no_gtsrb_is_refused(tmp_path: Path, text: str | None, message: str):
    if text:
        (tmp_path / "GT-00000.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        samples(tmp_path)
    with pytest.raises(DataError, match="expected the unpacked dataset, got '', which is no folder"):
        list(Source("").samples())


@pytest.mark.slow
def test_no_track_of_the_real_archives_is_in_two_splits(tmp_path: Path, shared_data: Callable[[str], Path]):
    for name in ("gtsrb35", "gtsrb_orig"):
        (tmp_path / name).symlink_to(shared_data(name) / name, target_is_directory=True)
    config = DataConfig(
        Choice("gtsrb", {"folder": str(tmp_path)}), str(tmp_path / "data"), 0.65, 0.15, True, stratify=True
    )
    index = convert(config, {"image": ImageConfig(size=(32, 32))}, TaskConfig())
    tracks: dict[str, set[str]] = {}
    seen: Counter[str] = Counter()
    for split in ("train", "validation", "test"):
        records = read_samples(index, split)
        tracks[split] = {record.key.rpartition("_")[0] for record in records}
        seen.update(record.key for record in records)
        assert index.splits[split].classes.keys() == set(CLASSES), "every class is in every split"
    assert not tracks["train"] & tracks["validation"] | tracks["train"] & tracks["test"]
    assert not tracks["validation"] & tracks["test"]
    assert set(seen.values()) == {1}
    assert index.samples("train") + index.samples("validation") + index.samples("test") == 5716
    assert any(note.startswith(f"228 rows: {COPY}") for note in index.notes)
    assert len(LIMITS) == 8
