"""Constants are those of the float32 file, rounded to the file's precision and no further."""

from __future__ import annotations

import numpy as np
import pytest

from export.verification.constants.compare import constants_problem
from export.verification.constants.constant import Constant, float16_constant, quantised_constant

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(16, 8)).astype(np.float32)
BIAS = RNG.normal(size=8).astype(np.float32)
SCALE = (np.abs(KERNEL).max(0) / 127).astype(np.float32)
NUMBERS = np.rint(KERNEL / SCALE).astype(np.int8)


def float32(name: str, values: np.ndarray) -> Constant:
    return Constant(name, values.ravel(), np.zeros(1, np.float32), "float32")


FILE = [float32("kernel", KERNEL), float32("bias", BIAS)]


def int8(numbers: np.ndarray = NUMBERS, scale: np.ndarray = SCALE) -> list[Constant]:
    return [quantised_constant("q", numbers, scale, np.zeros(1, np.int64), 1), float32("b", BIAS)]


def changed(change: int) -> np.ndarray:
    numbers = NUMBERS.copy()
    numbers[5, 2] += change
    return numbers


def test_rounding_alone_passes() -> None:
    assert constants_problem(int8(), FILE) == ""
    half = [float16_constant("h", KERNEL.astype(np.float16)), float16_constant("b", BIAS.astype(np.float16))]
    assert constants_problem(half, FILE) == ""
    assert constants_problem(FILE, FILE) == ""


@pytest.mark.parametrize(
    "small",
    [
        int8(changed(1)),
        int8(changed(-1)),
        int8(scale=SCALE * np.float32(1.1)),
        int8(np.roll(NUMBERS, 1, 1)),
        int8(np.rint(NUMBERS / 16).astype(np.int8) * 16),
    ],
    ids=["a step up", "a step down", "scale", "channels rolled", "four bits"],
)
def test_more_than_rounding_is_named(small: list[Constant]) -> None:
    assert "its constant q (int8) is not the float32 file's kernel" in constants_problem(small, FILE)


def test_a_scale_that_is_larger_than_needed_is_found() -> None:
    scale = SCALE * np.float32(1.1)
    problem = constants_problem(int8(np.rint(KERNEL / scale).astype(np.int8), scale), FILE)
    assert "the scale of 8 channels of its constant q is too large" in problem


def test_a_channel_of_zeros_may_have_any_scale() -> None:
    kernel, numbers = KERNEL.copy(), NUMBERS.copy()
    kernel[:, 2] = numbers[:, 2] = 0
    assert constants_problem(int8(numbers), [float32("kernel", kernel), FILE[1]]) == ""


def test_a_digit_of_float16_may_be_lost_and_no_more() -> None:
    half = KERNEL.astype(np.float16)
    half[0, 0] = np.nextafter(np.nextafter(half[0, 0], np.float16(9)), np.float16(9))
    problem = constants_problem([float16_constant("h", half), float32("b", BIAS)], FILE)
    assert "1 of 128 values differ by more than rounding" in problem


def test_what_float16_cannot_hold_becomes_its_largest_number() -> None:
    large, half = np.array([1e9, -2.0], np.float32), np.array([65504, -2], np.float16)
    assert constants_problem([float16_constant("h", half)], [float32("mask", large)]) == ""


@pytest.mark.parametrize("name", ["m/cross/{}/", "model_1/cross_1/{}_1/MatMul;model_1/cross_1/other_1/Add"])
def test_two_layers_with_each_others_numbers_are_named(name: str) -> None:
    key, value = (RNG.normal(size=9).astype(np.float32) for _ in range(2))
    honest = [float32("m_1/cross_1/key_1/MatMul", key), float32("m_1/cross_1/value_1/MatMul", value)]
    assert constants_problem([float32(name.format("key"), key), float32(name.format("value"), value)], honest) == ""
    problem = constants_problem([float32(name.format("key"), value), float32(name.format("value"), key)], honest)
    assert problem.endswith("holds the values of m_1/cross_1/value_1/MatMul (and 1 more constants)")


def test_a_bias_of_zeros_is_not_excused_by_another_layer_of_zeros() -> None:
    zeros = float32("other bias", np.zeros(8, np.float32))
    small = [*int8()[:1], float32("b", np.zeros(8, np.float32)), float32("o", np.zeros(8, np.float32))]
    assert constants_problem(small, [*FILE, zeros]) == "lacks the constant bias of the float32 file"


def test_a_constant_of_another_size_is_named() -> None:
    more = float32("extra", np.ones(5, np.float32))
    assert "holds a constant extra of 5 values" in constants_problem([*FILE, more], FILE)


def test_not_a_number_is_never_close() -> None:
    values = BIAS.copy()
    values[1] = np.nan
    assert "is not the float32 file's bias" in constants_problem([FILE[0], float32("b", values)], FILE)


def test_the_ends_of_an_asymmetric_range_may_be_cut() -> None:
    numbers = np.array([0, 10, 255], np.uint8)
    constant = quantised_constant("q", numbers, np.array([0.1], np.float32), np.array([10]), None)
    np.testing.assert_allclose(constant.values, [-1.0, 0.0, 24.5], rtol=1e-6)
    np.testing.assert_allclose(constant.rounding, [0.1, 0.05, 0.1], rtol=1e-6)


def test_the_smallest_scale_of_a_dead_channel_is_no_loss() -> None:
    """A converter's smallest scale is larger than a channel of 1e-9 needs, and no other arithmetic is as exact."""
    scale = SCALE.copy()
    for size, smallest, problem in ((1e-9, 4e-9, ""), (1e-2, 1e-3, "the scale of 1 channels")):
        kernel = KERNEL.copy()
        kernel[:, 3] *= size
        scale[3] = smallest
        small = int8(np.rint(kernel / scale).astype(np.int8), scale)
        found = constants_problem(small, [float32("kernel", kernel), float32("bias", BIAS)])
        assert found.startswith(problem)
        assert bool(found) == bool(problem)
