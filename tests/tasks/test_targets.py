"""How a target is held in a record, on the host and in the graph alike."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.features import decode_target
from mmkeras.tasks import TargetSpec
from tests.toys.tasks.two_targets.spec import Spec as TwoTargets

SPECS = (
    TargetSpec("index", (), "int32"),
    TargetSpec("numbers", (2, 3), "float32"),
    TargetSpec("tags", (5,), "uint8"),
    TargetSpec("mask", (7, 9), "uint8", "png"),
    TargetSpec("mask", (7, 9, 1), "uint8", "png"),
    TargetSpec("instances", (7, 9), "uint16", "png"),
    TargetSpec("picture", (7, 9, 3), "uint8", "png"),
)


def street(height: int, width: int) -> np.ndarray:
    """Return a mask as streets have: sky, road and some boxes."""
    rng = np.random.default_rng(0)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2 :] = 1
    for _ in range(12):
        top, left = rng.integers(height // 3, height - 4), rng.integers(0, width - 4)
        mask[top : top + rng.integers(2, height // 4), left : left + rng.integers(2, width // 4)] = rng.integers(2, 19)
    return mask


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_host_and_the_graph_decode_alike(spec: TargetSpec):
    values = (np.random.default_rng(0).random((3, *spec.shape)) * 200).astype(spec.dtype)
    raw = [spec.to_bytes(value) for value in values]
    decoded = tf.function(lambda raw: decode_target(spec, raw), autograph=False)(tf.constant(raw))
    host = np.stack([spec.from_bytes(each) for each in raw])
    assert decoded.dtype == host.dtype == np.dtype(spec.dtype)
    np.testing.assert_array_equal(decoded, values)
    np.testing.assert_array_equal(host, values)
    assert decode_target(spec, tf.constant([], tf.string)).shape == (0, *spec.shape)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_bytes_of_another_size_are_refused_on_both_sides(spec: TargetSpec):
    larger = replace(spec, shape=(*(side + 1 for side in spec.shape[:2]), *spec.shape[2:]) or (2,))
    for data in (b"", b"abc", larger.to_bytes(np.zeros(larger.shape, larger.dtype))):
        with pytest.raises(ValueError):
            spec.from_bytes(data)
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode_target(spec, tf.constant([data]))


def test_a_mask_takes_less_than_a_hundredth_of_its_values_as_floats():
    spec = TargetSpec("mask", (360, 480), "uint8", "png")
    data = spec.to_bytes(street(360, 480))
    assert len(data) < 360 * 480 * 4 / 100
    np.testing.assert_array_equal(spec.from_bytes(data), street(360, 480))


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding", "message"),
    [
        ((4, 4), "float32", "png", "Use the encoding raw"),
        ((4,), "uint8", "png", "Use the encoding raw"),
        ((4, 4, 3), "uint16", "png", "Use the encoding raw"),
        ((), "int32", "pgn", "did you mean 'png'?"),
    ],
)
def test_an_encoding_that_cannot_hold_the_target_is_refused(shape: Any, dtype: str, encoding: str, message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        TargetSpec("mask", shape, dtype, encoding)


def test_several_targets_are_rows_of_a_record_array():
    task = TwoTargets(("a", "b"))
    rows = task.rows_of({"what": np.array([1, 0, 1]), "where": np.ones((3, 2), np.float32)})
    assert (len(rows), rows[[2, 1]]["what"].tolist(), rows["where"].shape) == (3, [1, 0], (3, 2))
    with pytest.raises(TypeError, match=r"has the targets \['what', 'where'\], not a single one"):
        _ = task.target
    with pytest.raises(DataError, match=r"an output for every target .* got none for \['where'\]"):
        task.rows_of({"what": np.zeros(3)})
