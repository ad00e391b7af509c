from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.modalities.radar.records import augment, decode, encode
from mmkeras.modalities.radar.spec import FEATURES, Config, rotated, staled
from tests.modalities.radar.points import random_points

pytestmark = pytest.mark.tfio

CAMERA = (256.0, 96.0, 200.0, 128.0, 48.0)
CONFIG = Config(max_points=40, camera=CAMERA)
SPEC = CONFIG.spec("radar")


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_the_graph_computes_what_the_host_computes(count: int):
    points = random_points(count, seed=count)
    record = encode(CONFIG, points)
    for name, expected in SPEC.preprocess(points).items():
        got = decode(SPEC, tf.constant(record))[name].numpy()
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, atol=2e-6, rtol=2e-6)
    np.testing.assert_array_equal(SPEC.preprocess(record)["radar_points"], SPEC.preprocess(points)["radar_points"])


def test_a_batch_of_records_of_any_length_and_a_missing_one():
    records = [encode(CONFIG, random_points(n, seed=n)) for n in (0, 5, 200)]
    batch = tf.function(lambda raw: decode(SPEC, raw))(tf.constant([*records, b""]))
    for row, record in enumerate(records):
        for name, value in decode(SPEC, tf.constant(record)).items():
            np.testing.assert_allclose(batch[name][row].numpy(), value.numpy(), atol=1e-6)
    assert not batch["radar_points"][3].numpy().any()
    assert not batch["radar_mask"][3].numpy().any()


def _disturbed(config: Config, points: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    inputs = {name: tf.constant(value[None]) for name, value in SPEC.preprocess(points).items()}
    return {name: value[0].numpy() for name, value in augment(config, SPEC, inputs, tf.constant([seed, 1])).items()}


def test_nothing_configured_changes_nothing():
    inputs = {name: tf.constant(value) for name, value in SPEC.preprocess(random_points(50)).items()}
    assert augment(CONFIG, SPEC, inputs, tf.constant([0, 1])) is inputs


def test_a_disturbed_radar_is_a_late_and_turned_one():
    points = SPEC.select(random_points(60))
    config = Config(max_points=40, camera=CAMERA, disturb=1.0, stale=0.3, misalign=5.0, lose=0.0)
    got = _disturbed(config, points)
    real = got["radar_mask"] == 1
    before, after = points[real[: len(points)]], got["radar_points"][real]
    seconds = float(after[0, FEATURES.index("dt")] - before[0, 7])
    assert 0 < seconds < 0.3
    before = staled(before, seconds)
    turn = np.degrees(np.arctan2(after[:, 0], after[:, 1]) - np.arctan2(before[:, 0], before[:, 2]))
    assert np.ptp(turn) < 0.01
    assert 0 < abs(turn[0]) < 5
    expected = SPEC.features(rotated(before, float(turn.mean())))
    # What stands at the picture's upper or lower edge has lost its height before it is turned.
    inside = (expected[:, 3] > 0.05) & (expected[:, 3] < 0.95)
    assert inside.sum() > 5
    np.testing.assert_allclose(after[inside], expected[inside], atol=2e-3)


def test_a_disturbed_radar_loses_points_and_lost_ones_are_zero():
    config = Config(max_points=40, camera=CAMERA, disturb=1.0, stale=0.0, misalign=0.0, lose=1.0)
    before = SPEC.preprocess(random_points(300))
    counts = []
    for seed in range(20):
        got = _disturbed(config, random_points(300), seed)
        kept = got["radar_mask"] == 1
        np.testing.assert_allclose(got["radar_points"][kept], before["radar_points"][kept], atol=1e-5)
        assert not got["radar_points"][~kept].any()
        counts.append(kept.mean())
    assert min(counts) < 0.4 < 0.6 < max(counts)


def test_only_the_share_that_is_asked_for_is_disturbed():
    config = Config(max_points=40, camera=CAMERA, disturb=0.3, lose=0.0)
    one = SPEC.preprocess(random_points(300))
    batch = {name: tf.constant(np.repeat(value[None], 500, axis=0)) for name, value in one.items()}
    got = augment(config, SPEC, batch, tf.constant([3, 4]))["radar_points"].numpy()
    share = np.mean([not np.allclose(row, one["radar_points"], atol=1e-5) for row in got])
    assert 0.2 < share < 0.4
