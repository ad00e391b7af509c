"""Frames as they come, as the clip that a model reads."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.modalities.video.spec import Spec
from mmkeras.runtime.frame_ring import FrameRing
from tests.media.clips.films import numbered, shown

SECONDS = Spec("clip", 4, 48, 64, seconds=2.0)


def _read(ring: FrameRing, spec: Spec, now: float | None = None) -> tuple[list[int], list[float]]:
    made = spec.preprocess(ring.clip(now))
    return made["clip_fresh"].tolist(), [round(19 * shown(frame)) for frame in made["clip"]]


def test_it_keeps_the_last_frames_and_no_more():
    spec = Spec("clip", 4, 48, 64)
    ring = FrameRing(spec)
    frames = numbered(20)
    for number, frame in enumerate(frames):
        ring.add(frame)
        assert len(ring) == min(4, number + 1)
    assert _read(ring, spec) == ([1, 1, 1, 1], [16, 17, 18, 19])


def test_a_window_of_time_has_frames_at_equal_distances_whatever_the_rate():
    ring = FrameRing(SECONDS)
    for number, frame in enumerate(numbered(20)):
        ring.add(frame, 100.0 + 0.25 * number)
    # The newest frame is of 104.75 s; the slots are half a second apart.
    assert _read(ring, SECONDS) == ([1, 1, 1, 1], [13, 15, 17, 19])
    assert len(ring) <= 10


def test_after_a_pause_the_last_slots_have_no_new_frame():
    ring = FrameRing(SECONDS)
    for number, frame in enumerate(numbered(20)):
        ring.add(frame, 0.25 * number)
    fresh, frames = _read(ring, SECONDS, 5.75)
    assert fresh == [1, 1, 0, 0]
    assert frames == [17, 19, 19, 19]


def test_it_reads_the_clip_that_the_file_of_the_same_frames_gives():
    spec = Spec("clip", 4, 24, 32)
    ring = FrameRing(spec)
    frames = numbered(4)
    for frame in frames:
        ring.add(frame)
    for name, value in spec.preprocess(frames).items():
        np.testing.assert_array_equal(spec.preprocess(ring.clip())[name], value)


def test_one_frame_is_enough_and_any_picture_will_do(tmp_path: Path):
    Image.fromarray(numbered(1)[0]).save(tmp_path / "a.png")
    for value in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), Image.open(tmp_path / "a.png")):
        ring = FrameRing(SECONDS)
        ring.add(value, 7.0)
        assert _read(ring, SECONDS)[0] == [1, 0, 0, 0]


def test_what_cannot_be_is_refused():
    ring = FrameRing(SECONDS)
    with pytest.raises(DataError, match="no frame has come"):
        ring.clip()
    ring.add(numbered(1)[0], 3.0)
    with pytest.raises(DataError, match=r"expected a time after 3\.0, got 3\.0"):
        ring.add(numbered(1)[0], 3.0)
    with pytest.raises(DataError, match=r"expected a time of 3\.0 or later"):
        ring.clip(2.0)
    with pytest.raises(DataError, match="float64"):
        ring.add(np.zeros((4, 4, 3)), 5.0)
    with pytest.raises(ConfigError, match="expected a modality of the kind 'video'"):
        FrameRing(TextSpec("text", 8, ("[PAD]", "[UNK]", "[CLS]", "[SEP]")))


def test_a_camera_may_add_while_a_model_reads():
    ring, frame = FrameRing(SECONDS), numbered(1)[0]
    ring.add(frame, 0.0)

    def film() -> None:
        for number in range(1, 300):
            ring.add(frame, 0.01 * number)

    camera = threading.Thread(target=film)
    camera.start()
    while camera.is_alive():
        assert SECONDS.preprocess(ring.clip())["clip"].shape == (4, 48, 64, 3)
    camera.join()
