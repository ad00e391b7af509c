"""Video files: frame rates, rotation, damage, and what is refused."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import DataError, DependencyError
from mmkeras.media.clips import film
from mmkeras.media.clips.clip import read_clip
from mmkeras.media.clips.film import cut_off, read_film
from tests.media.clips.films import numbered, shown, turned, write_film

pytest.importorskip("av")


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mpeg4"),
        ("a.mkv", "mpeg4"),
        ("a.avi", "mpeg4"),
        ("a.ts", "mpeg4"),
        ("a.webm", "libvpx"),
        ("a.mov", "mjpeg"),
    ],
)
def test_the_frames_are_those_in_the_middle_of_each_slot(tmp_path: Path, name: str, codec: str):
    path = write_film(tmp_path / name, numbered(20), codec=codec)
    for value in (path, str(path), path.read_bytes()):
        found = read_film(value, "clip", 5)
        assert [picture.size for picture in found.pictures] == [(64, 48)] * 5
        assert found.fresh.all()
        # 20 frames in 5 slots: the middles are behind the frames 2, 6, 10, 14 and 18.
        np.testing.assert_allclose(
            [shown(found.pictures[place]) for place in found.places], np.array([2, 6, 10, 14, 18]) / 19, atol=0.03
        )


def test_frames_out_of_order_in_the_file_are_put_in_order(tmp_path: Path):
    path = write_film(tmp_path / "b.mp4", numbered(20), bframes=True)
    found = read_film(path, "clip", 10)
    assert (np.diff([shown(found.pictures[place]) for place in found.places]) > 0).all()


def test_a_variable_frame_rate_is_read_by_time_and_a_gap_has_no_new_frame(tmp_path: Path):
    times = [0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.1]
    path = write_film(tmp_path / "v.mp4", numbered(7), times=times)
    found = read_film(path, "clip", 6)
    # The clip lasts 1.2 s; the slots' middles are 0.1, 0.3, 0.5, 0.7, 0.9 and 1.1 s.
    assert found.fresh.tolist() == [True, True, False, False, True, True]
    values = [shown(found.pictures[place]) for place in found.places]
    np.testing.assert_allclose(values, np.array([1, 3, 3, 3, 4, 6]) / 6, atol=0.04)


def test_only_the_middle_of_a_long_clip_is_read(tmp_path: Path):
    path = write_film(tmp_path / "long.mp4", numbered(40))
    found = read_film(path, "clip", 4, seconds=2.0)
    values = [shown(found.pictures[place]) * 39 for place in found.places]
    np.testing.assert_allclose(values, [12, 17, 22, 27], atol=1.0)
    short = read_film(path, "clip", 4, seconds=8.0)
    assert short.fresh.tolist() == [True, True, True, False]


def test_far_frames_of_a_long_file_are_found_by_its_key_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_film(tmp_path / "far.mp4", numbered(60), rate=1)
    wanted = [shown(picture) for picture in read_film(path, "clip", 4).pictures]
    monkeypatch.setattr(film, "_AWAY", 1e9)  # decodes all of it
    np.testing.assert_allclose(wanted, [shown(picture) for picture in read_film(path, "clip", 4).pictures], atol=1e-6)


def test_one_frame_is_a_clip(tmp_path: Path):
    found = read_film(write_film(tmp_path / "one.mp4", numbered(1)), "clip", 3)
    assert len(found.pictures) == 1
    assert found.fresh.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1), (8, 4)),
        ((0, 1, -1, 0), (43, 8)),  # a quarter turn clockwise
        ((0, -1, 1, 0), (4, 55)),
        ((-1, 0, 0, -1), (55, 43)),
        ((-1, 0, 0, 1), (55, 4)),
    ],
)
def test_a_phone_held_upright_is_turned(tmp_path: Path, matrix: tuple[int, int, int, int], corner: tuple[int, int]):
    path = turned(write_film(tmp_path / "phone.mp4", numbered(3)), *matrix)
    (picture, *_) = read_film(path, "clip", 3).pictures
    assert picture.size == ((64, 48) if matrix[0] else (48, 64))
    red, green, _ = np.asarray(picture)[corner[1], corner[0]]
    assert red > 180 > 90 > green


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path):
    path = write_film(tmp_path / "whole.avi", numbered(40), codec="mjpeg")
    data = path.read_bytes()
    assert not cut_off(path, "clip")
    # The index stands at the end of an AVI file; without it the frames are read in order.
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) // 2])
    found = read_film(cut, "clip", 4)
    last = [shown(found.pictures[place]) for place in found.places][-1]
    assert 0.2 < last < 0.6
    assert cut_off(cut, "clip")


def test_a_damaged_frame_is_a_lost_one(tmp_path: Path):
    data = bytearray(write_film(tmp_path / "whole.avi", numbered(8), codec="mjpeg").read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"00dc" and data[at + 8 : at + 10] == b"\xff\xd8"]
    assert len(starts) == 8
    data[starts[3] + 8 : starts[4]] = bytes(starts[4] - starts[3] - 8)
    found = read_film(bytes(data), "clip", 8)
    assert found.fresh.tolist() == [True, True, True, False, True, True, True, True]


def _playlist(folder: Path) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{folder / 'a.mp4'}\n#EXT-X-ENDLIST\n".encode()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: b"no video at all", "cannot be opened as a video"),
        (lambda folder: (folder / "a.mp4").read_bytes()[:300], "cannot be opened as a video"),
        (_playlist, "cannot be opened as a video"),
        (lambda folder: f"ffconcat version 1.0\nfile {folder / 'a.mp4'}\n".encode(), "cannot be opened as a video"),
        (lambda folder: folder / "none.mp4", "cannot be read: No such file"),
    ],
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, make: Callable[[Path], Any], message: str):
    write_film(tmp_path / "a.mp4", numbered(3))
    with pytest.raises(DataError, match=f"my clip: {message}"):
        read_film(make(tmp_path), "my clip", 4)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_film(tmp_path / "a.mp4", numbered(3))
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(builtins, "__import__", _without_av(builtins.__import__))
    with pytest.raises(DependencyError, match=r"mmkeras\[video\]"):
        read_clip(path, 4)


def _without_av(honest: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
        return honest(name, *arguments, **options)

    return wrapped


def test_real_files(shared_data: Callable[[str], Path]):
    folders = [shared_data(name) for name in ("fight_video", "grid_video_text", "video_decode")]
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".mp4", ".mpg"))
    assert len(paths) > 300
    for path in paths[::12]:
        found = read_clip(path, 8)
        assert found.fresh.all(), path
        assert len({picture.tobytes() for picture in found.pictures}) > 4, path
