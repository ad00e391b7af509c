"""Windows on the host: normalised, masked, and kept in bundles."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.series import resolve
from mmkeras.modalities.series.normalised import FURTHEST
from mmkeras.modalities.series.spec import Config
from mmkeras.modalities.series.values import read_series, write_npy
from tests.modalities.series.waves import CONFIG, PAIR, VALUES, spec


def test_a_window_is_normalised_by_its_own_numbers_and_missing_ones_are_0_and_masked() -> None:
    made = spec().preprocess(VALUES[1])
    numbers = np.array([3.0, 5.5, 2.0])
    expected = (numbers - numbers.mean()) / numbers.std()
    np.testing.assert_allclose(made["wave_values"][[7, 9, 11], 0], expected, rtol=1e-6)
    assert made["wave_mask"][:, 0].tolist() == [0] * 7 + [1, 0, 1, 0, 1]
    assert not made["wave_values"][made["wave_mask"] == 0].any()
    assert {name: (value.shape, value.dtype.name) for name, value in made.items()} == {
        tensor.name: (tensor.shape, tensor.dtype) for tensor in spec().tensors
    }


def test_the_level_says_where_a_window_is_relative_to_training() -> None:
    known = spec(dataclasses.replace(CONFIG, means=(10.0,), deviations=(2.0,)))
    level = known.preprocess([13.0, 15.0])["wave_level"]
    np.testing.assert_allclose(level, [2.0, np.log(0.5)], rtol=1e-6)
    assert known.preprocess([12.0, 12.0])["wave_level"].tolist() == [1.0, -FURTHEST]
    assert known.preprocess([1e9, 3e9])["wave_level"].tolist() == [FURTHEST, FURTHEST]


def test_a_constant_window_is_0_and_a_far_number_is_cut() -> None:
    assert not spec().preprocess([0.1] * 12)["wave_values"].any()
    far = spec(dataclasses.replace(CONFIG, length=200)).preprocess([0.0] * 199 + [1e6])
    assert far["wave_values"][-1] == FURTHEST


def test_training_normalises_by_the_training_windows_and_has_no_level() -> None:
    known = spec(dataclasses.replace(CONFIG, normalise="training"))
    numbers = np.concatenate([read_series(CONFIG, value).steps[:, 0] for value in VALUES])
    mean, deviation = np.nanmean(numbers), np.nanstd(numbers)
    assert (known.means[0], known.deviations[0]) == (pytest.approx(mean), pytest.approx(deviation))
    made = known.preprocess([4.0])
    assert list(made) == ["wave_values", "wave_mask"]
    assert made["wave_values"][-1, 0] == pytest.approx((4.0 - mean) / deviation, rel=1e-6)


def test_statistics_are_those_of_each_feature_unless_given() -> None:
    windows = [[[1e9 + i, None], [1e9 - i, 5]] for i in range(4)]
    learned = resolve(PAIR, windows, Path())
    assert learned.means == (pytest.approx(1e9), 5.0)
    assert learned.deviations == (pytest.approx(np.sqrt(3.5)), 1.0)
    given = dataclasses.replace(PAIR, means=(1.0, 2.0))
    assert resolve(given, windows, Path()).means == (1.0, 2.0)
    assert resolve(PAIR, [], Path()).deviations == (1.0, 1.0)


def test_scenarios_lose_steps_always_the_same_ones_and_never_all() -> None:
    known = spec()
    for value in (VALUES[0], [1.0], [1.0, 2.0]):
        for name, change in known.scenarios().items():
            before, after = (known.preprocess(each)["wave_mask"] for each in (value, change(value)))
            assert 0 < after.sum() <= before.sum(), name
            assert change(value) == change(value)
            assert (after <= before).all()
    half, newest = (known.preprocess(change(VALUES[0]))["wave_mask"] for change in known.scenarios().values())
    assert 2 < half.sum() < 10
    assert newest[:, 0].tolist() == [1] * 9 + [0] * 3
    assert not Config(length=1, patch=1).spec("x").scenarios()


@pytest.mark.parametrize(
    "config", [CONFIG, PAIR, dataclasses.replace(CONFIG, interval=2.0)], ids=["one", "two", "times"]
)
def test_probes_can_be_read_and_have_gaps_and_levels_of_every_size(config: Config) -> None:
    made = [spec(config, []).preprocess(probe) for probe in spec(config, []).probes()]
    masks = np.stack([each["wave_mask"] for each in made])
    assert 0 < masks.mean() < 1
    assert np.ptp(np.stack([each["wave_level"] for each in made]), axis=0).min() == 2 * FURTHEST


def test_a_bundle_keeps_the_spec_and_refuses_one_that_cannot_be(tmp_path: Path) -> None:
    known = spec(dataclasses.replace(CONFIG, length=64, parts=("a",), times="t", interval=0.5, files=True), [])
    value = json.loads(json.dumps(known.to_json()))
    assert spec_from_json(value, tmp_path) == known
    assert (known.columns, known.reads_files) == (("a", "t"), True)
    for wrong in (
        {"length": 0},
        {"length": 2.5},
        {"means": [1.0, 2.0]},
        {"means": [float("nan")]},
        {"deviations": [0.0]},
        {"parts": "a"},
        {"normalise": "never"},
        {"interval": float("inf")},
    ):
        with pytest.raises(ConfigError, match="series: wave"):
            spec_from_json({**value, **wrong}, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length: expected at least 1"),
        ({"form": "patch"}, "form: expected one of patches, convolutions, got 'patch'"),
        ({"mask_rate": 1.0}, "mask_rate"),
        ({"times": "t"}, "times: expected parts and the interval"),
        ({"parts": ("a", "a")}, "'a' is given twice"),
        ({"parts": ("a", "b"), "features": 3}, "features: expected 2, the number of parts, got 3"),
        ({"parts": ("a", "b"), "parts_are": "steps", "features": 2}, "features: expected 1"),
        ({"means": (1.0, 2.0)}, "means: expected a finite number for each of 1 features"),
        ({"deviations": (-1.0,)}, "deviations: expected numbers above 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts_are", "value", "expected"),
    [
        ("features", [[0.1, 4.0], [None, 5.0], [3.0, 6.0]], {"a": [None, 0.1, None, 3.0], "b": [None, 4.0, 5.0, 6.0]}),
        ("steps", [0.1, None], {"a": 0.1, "b": None}),
    ],
)
def test_a_series_by_name_shows_columns_that_were_exchanged(parts_are, value, expected) -> None:
    length = 4 if parts_are == "features" else 2
    known = Config(parts=("a", "b"), parts_are=parts_are, patch=2, length=length).spec("x")
    named = known.by_name(write_npy(read_series(known, value).steps))
    assert json.loads(named) == expected
    own, exchanged = known.preprocess(value), dataclasses.replace(known, parts=("b", "a")).preprocess(named)
    assert all(np.array_equal(own[name], each) for name, each in known.preprocess(named).items())
    assert not np.array_equal(own["x_mask"], exchanged["x_mask"])


def test_a_series_of_one_cell_has_no_names() -> None:
    assert spec().by_name("0.5 1.5") == "0.5 1.5"
