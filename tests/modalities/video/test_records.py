"""Film strips in the graph: decoded as on the host, mirrored, and with lost frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.modalities._moves import Move
from mmkeras.modalities.video import records
from mmkeras.modalities.video.spec import Config, Spec
from tests.media.clips.films import numbered, write_film

SPEC = Spec("clip", 6, 24, 32)


def _batch(count: int = 4) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 6, 24, 32, 3)).astype(np.uint8)
    return {"clip": tf.constant(frames), "clip_fresh": tf.ones((count, 6), tf.int32), "other": tf.ones((count, 2))}


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
def test_the_graph_gives_the_tensors_of_the_host(tmp_path: Path, resize: str):
    spec = Config(frames=6, size=(24, 32), resize=resize).spec("clip")  # type: ignore[arg-type]
    film = write_film(tmp_path / "film.mp4", numbered(9))
    values = [*spec.probes(), str(film), numbered(2), *(change(str(film)) for change in spec.scenarios().values())]
    encoded = [records.encode(spec, value) for value in values]
    together = records.decode(spec, tf.constant(encoded))
    for row, value in enumerate(values):
        for name, expected in spec.preprocess(value).items():
            np.testing.assert_array_equal(together[name][row], expected)
            np.testing.assert_array_equal(records.decode(spec, tf.constant(encoded[row]))[name], expected)
            np.testing.assert_array_equal(spec.preprocess(encoded[row])[name], expected)


def test_real_clips_are_the_same_in_the_graph(shared_data: Callable[[str], Path]):
    paths = sorted(shared_data("fight_video").rglob("*.mp4"))[::60]
    spec = Spec("clip", 8, 56, 56, "letterbox")
    for path in paths:
        decoded = records.decode(spec, tf.constant(records.encode(spec, path)))
        for name, expected in spec.preprocess(path).items():
            np.testing.assert_array_equal(decoded[name], expected)


def test_a_file_that_was_cut_off_has_a_remark(tmp_path: Path):
    whole = write_film(tmp_path / "whole.avi", numbered(40), codec="mjpeg")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert records.remark(SPEC, str(whole)) == ""
    assert "cut off" in records.remark(SPEC, str(cut))
    assert records.remark(SPEC, numbered(2)) == ""


def test_all_frames_of_a_sample_are_mirrored_together():
    before = _batch(2)
    after = records.move(SPEC, before, Move(mirror=tf.constant([True, False])))
    np.testing.assert_array_equal(after["clip"][0], before["clip"][0, :, :, ::-1])
    np.testing.assert_array_equal(after["clip"][1], before["clip"][1])
    assert records.move(SPEC, before, Move()) is before


def test_brightness_and_contrast_are_the_same_for_all_frames_of_a_clip():
    grey = {**_batch(8), "clip": tf.fill((8, 6, 24, 32, 3), tf.constant(100, tf.uint8))}
    config = Config(brightness=0.3, contrast=0.3)
    after = records.augment(config, SPEC, grey, tf.constant([1, 2]))["clip"].numpy()
    levels = after[:, 0, 0, 0, 0]
    assert len(set(levels.tolist())) > 4
    assert (after == levels[:, None, None, None, None]).all()


def test_lost_frames_are_those_of_the_host():
    before = _batch(64)
    after = records.augment(Config(lose=0.9), SPEC, before, tf.constant([3, 4]))
    again = records.augment(Config(lose=0.9), SPEC, before, tf.constant([3, 4]))
    fresh = after["clip_fresh"].numpy()
    np.testing.assert_array_equal(fresh, again["clip_fresh"])
    assert fresh[:, 0].all()
    assert 0.2 < 1 - fresh[:, 1:].mean() < 0.7
    for row in range(64):
        held = np.maximum.accumulate(np.where(fresh[row], np.arange(6), 0))
        np.testing.assert_array_equal(after["clip"][row], before["clip"].numpy()[row, held])
    assert records.augment(Config(), SPEC, before, tf.constant([3, 4])) is before
