from __future__ import annotations

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.media.geometry import PinholeCamera
from mmkeras.media.points.pcd import write_pcd
from mmkeras.media.points.radar_cloud import POINT_FIELDS
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.radar.spec import FEATURES, Config, read_points, rotated, staled, thinned
from tests.modalities.radar.points import random_points

CAMERA = (256.0, 96.0, 200.0, 128.0, 48.0)
SPEC = Config(max_points=24, max_range=60.0, camera=CAMERA).spec("radar")


def _features(points: np.ndarray) -> dict[str, np.ndarray]:
    tensors = SPEC.preprocess(points)
    real = tensors["radar_points"][tensors["radar_mask"] == 1]
    return dict(zip(FEATURES, real.T, strict=True))


def test_tensors_are_what_the_spec_says():
    tensors = SPEC.preprocess(random_points(400))
    for tensor in SPEC.tensors:
        assert tensors[tensor.name].shape == tensor.shape
        assert tensors[tensor.name].dtype == tensor.dtype
    assert tensors["radar_mask"].sum() == 24


def test_features_are_places_in_the_picture_and_physical_units():
    points = np.array([[2.0, 1.0, 20.0, 7.0, 1.0, 0.0, -3.0, 0.25]], np.float32)
    seen = _features(points)
    expected = PinholeCamera(*SPEC.camera).project(points[:, :3])[0] / SPEC.camera[:2]
    assert (seen["u"][0], seen["v"][0]) == pytest.approx(tuple(expected), abs=1e-6)
    assert [seen[name][0] for name in ("x", "z", "rcs", "vx", "vz", "dt")] == [2.0, 20.0, 7.0, 1.0, -3.0, 0.25]
    assert seen["log_range"][0] == pytest.approx(np.log(np.hypot(2.0, 20.0)), abs=1e-6)


def test_the_newest_and_then_the_nearest_points_are_kept():
    points = random_points(600)
    kept = SPEC.select(points)
    assert len(kept) == 24
    away = np.hypot(kept[:, 0], kept[:, 2])
    assert (np.diff(kept[:, 7]) >= 0).all()
    assert all((np.diff(away[kept[:, 7] == age]) >= 0).all() for age in set(kept[:, 7]))
    np.testing.assert_array_equal(SPEC.select(kept), kept)
    shuffled = np.random.default_rng(1).permutation(points)
    np.testing.assert_array_equal(SPEC.select(shuffled), kept)


def test_points_behind_beside_and_too_far_and_nan_are_left_out():
    bad = np.array([[0, 0, -5], [0, 0, 0.5], [30, 0, 5], [-30, 0, 5], [0, 0, 61], [np.nan, 0, 10]], np.float32)
    points = np.concatenate([bad, np.zeros((len(bad), 5), np.float32)], axis=1)
    assert SPEC.preprocess(points)["radar_mask"].sum() == 0


@pytest.mark.parametrize("count", [0, 1, 24, 500])
def test_a_file_gives_what_the_array_gives(tmp_path, count):
    points = random_points(count)
    data = write_pcd(points, POINT_FIELDS)
    path = tmp_path / "points.pcd"
    path.write_bytes(data)
    expected = SPEC.preprocess(points)
    for value in (data, path, str(path)):
        for name, tensor in SPEC.preprocess(value).items():
            np.testing.assert_array_equal(tensor, expected[name])


def test_what_is_no_set_of_points_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"radar points \(N, 8\).*got float64 \(3, 5\)"):
        read_points(np.zeros((3, 5)))
    path = tmp_path / "sensor.pcd"
    path.write_bytes(write_pcd(np.zeros((2, 3), np.float32), ("x", "y", "z")))
    with pytest.raises(DataError, match=r"sensor\.pcd: expected the fields x y z rcs .*got x y z"):
        SPEC.preprocess(path)


def test_a_field_of_several_numbers_is_refused(tmp_path):
    points = write_pcd(np.zeros((2, 9), np.float32), (*POINT_FIELDS, "more"))
    head, data = points.split(b"DATA", 1)
    names = b" ".join(field.encode() for field in POINT_FIELDS)
    head = head.replace(names + b" more", names).replace(b"4 4 4 4 4 4 4 4 4", b"4 4 4 4 4 4 4 4")
    head = head.replace(b"F F F F F F F F F", b"F F F F F F F F").replace(b"1 1 1 1 1 1 1 1 1", b"1 1 1 1 1 1 1 2")
    (tmp_path / "double.pcd").write_bytes(head + b"DATA" + data)
    with pytest.raises(
        DataError, match=rf"double\.pcd: field '{POINT_FIELDS[-1]}': expected one number a point, got 2"
    ):
        SPEC.preprocess(tmp_path / "double.pcd")


def test_the_spec_survives_json(tmp_path):
    assert spec_from_json(SPEC.to_json(), tmp_path) == SPEC


def test_wrong_options_are_all_named():
    with pytest.raises(ConfigError) as caught:
        Config(max_points=0, camera=(256.0, 96.0, -1.0, 0.0, 0.0), disturb=2.0, stale=-1.0)
    assert all(f"radar {name}:" in str(caught.value) for name in ("max_points", "camera", "disturb", "stale"))


# === What may happen to a radar ===


def test_a_late_sweep_shows_moving_things_where_they_were():
    points = np.array([[0, 0, 20, 5, 0, 0, -10, 0.0], [3, 0, 30, 5, 0, 0, 0, 0.05]], np.float32)
    late = staled(points, 0.2)
    np.testing.assert_allclose(late[:, 2], [22, 30], atol=1e-5)
    np.testing.assert_allclose(late[:, 7], [0.2, 0.25], atol=1e-6)


def test_a_turned_radar_moves_points_to_the_right_and_keeps_distances():
    points = random_points(50)
    turned = rotated(points, 5.0)
    np.testing.assert_allclose(np.hypot(*turned[:, [0, 2]].T), np.hypot(*points[:, [0, 2]].T), rtol=1e-5)
    np.testing.assert_allclose(np.hypot(*turned[:, [4, 6]].T), np.hypot(*points[:, [4, 6]].T), rtol=1e-4, atol=1e-5)
    angle = np.arctan2(turned[:, 0], turned[:, 2]) - np.arctan2(points[:, 0], points[:, 2])
    np.testing.assert_allclose(np.degrees(np.angle(np.exp(1j * angle))), 5.0, atol=1e-2)


def test_thinning_takes_the_share_and_repeats_itself():
    points = random_points(4000)
    first = thinned(points, 0.5)
    assert abs(len(first) / len(points) - 0.5) < 0.04
    np.testing.assert_array_equal(first, thinned(points, 0.5))


def test_scenarios_change_a_record_into_points():
    data = write_pcd(random_points(40), POINT_FIELDS)
    for name, change in SPEC.scenarios().items():
        count = int(SPEC.preprocess(change(data))["radar_mask"].sum())
        assert (count == 0) == (name == "empty"), name
