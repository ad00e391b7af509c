"""Clips in all their forms, and film strips."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.media.clips.clip import Clip, pictures_in, read_clip
from mmkeras.media.clips.schedule import schedule, span_of
from mmkeras.media.clips.strip import read_strip, write_strip
from tests.media.clips.films import numbered, shown


def _values(value: Any, slots: int, seconds: float = 0.0) -> list[float]:
    found = read_clip(value, slots, seconds)
    return [round(shown(found.pictures[place]), 2) for place in found.places]


def _folder(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"frame{number}.png")
    return folder


def test_folder_list_and_array_are_the_same_clip(tmp_path: Path):
    frames = numbered(12)
    folder = _folder(tmp_path / "clip", frames)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    # frame10 comes after frame9.
    assert [path.stem for path in pictures_in(folder)] == [f"frame{number}" for number in range(12)]
    expected = [round(number / 11, 2) for number in (1, 4, 7, 10)]
    for value in (
        folder,
        str(folder),
        pictures_in(folder),
        frames,
        np.stack(frames),
        [Image.fromarray(f) for f in frames],
    ):
        assert _values(value, 4) == pytest.approx(expected, abs=0.01)


def test_frames_with_times_and_a_span_lose_what_is_missing():
    clip = Clip(numbered(3), [0.0, 1.0, 4.0], (0.0, 6.0))
    found = read_clip(clip, 6)
    assert found.places.tolist() == [0, 1, 1, 1, 2, 2]
    assert found.fresh.tolist() == [True, True, False, False, True, False]


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path):
    path = tmp_path / "one.png"
    Image.fromarray(numbered(1)[0]).save(path)
    for value in (path, path.read_bytes(), Image.open(path)):
        assert read_clip(value, 3).fresh.tolist() == [True, False, False]


def _animation() -> bytes:
    stream = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in numbered(3)]
    first.save(stream, "WEBP", save_all=True, append_images=others)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "at least one picture"),
        (3, "got int"),
        (np.zeros((4, 5, 3), np.uint8), r"\(N, H, W, 3\), got uint8 \(4, 5, 3\)"),
        (np.zeros((2, 4, 5, 3)), r"frame 0 of a clip of 2: .*float64"),
        (["nowhere.png"], "frame 0 of a clip of 1: nowhere.png: no such file"),
        (_animation(), "an animation"),
        ("nowhere.mp4", "nowhere.mp4: no such file"),
        ("http://example.org/a.mp4", "a URL"),
    ],
)
def test_what_is_no_clip_is_refused(value: Any, message: str):
    with pytest.raises(DataError, match=message):
        read_clip(value, 2)


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected a folder of pictures"):
        read_clip(tmp_path, 2)


@pytest.mark.parametrize(
    ("times", "span"), [([1.0, 0.0], None), ([0.0], None), ([0.0, np.nan], None), ([0.0, 1.0], (2.0, 2.0))]
)
def test_times_that_cannot_be_are_refused(times: list[float], span: tuple[float, float] | None):
    with pytest.raises(DataError):
        Clip(numbered(2), times, span)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(1, 30), st.floats(0, 200))
def test_a_schedule_never_goes_back_and_names_each_frame_new_once(times: list[float], slots: int, seconds: float):
    sorted_times = np.array(sorted(times))
    found = schedule(sorted_times, span_of(sorted_times), slots, seconds)
    assert (np.diff(found.frames) >= 0).all()
    assert 0 <= found.frames[0] <= found.frames[-1] < len(times)
    assert found.fresh[0]
    assert found.fresh.sum() == len(set(found.frames.tolist()))


def test_a_film_strip_keeps_every_pixel_and_is_a_clip_itself():
    frames = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
    fresh = np.array([True, False, True, True, False, True])
    frames[[1, 4]] = frames[[0, 3]]
    strip = write_strip(frames, fresh)
    again = read_strip(strip)
    assert again is not None
    np.testing.assert_array_equal(again[0], frames)
    np.testing.assert_array_equal(again[1], fresh)
    found = read_clip(strip, 6)
    np.testing.assert_array_equal(found.fresh, fresh)
    np.testing.assert_array_equal(np.stack([np.asarray(picture) for picture in found.pictures])[found.places], frames)


def test_other_pictures_are_no_film_strip_and_a_damaged_one_is_refused(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.fromarray(numbered(1)[0]).save(path)
    assert read_strip(path) is None
    assert read_strip("nothing.png") is None
    strip = write_strip(np.zeros((2, 4, 4, 3), np.uint8), np.ones(2, bool))
    with pytest.raises(DataError, match="damaged"):
        read_strip(strip[:-30])
    with pytest.raises(DataError, match="damaged"):
        read_strip(strip.replace(b"film strip\x002", b"film strip\x003"))
