import math

import pytest

from mmkeras.core.rounding import percent, rounded


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (1.0, 1, "100.0"),
        (0.9997, 1, "99.97"),
        (0.99996, 1, "99.996"),
        (0.9997, 0, "99.97"),
        (0.9994, 1, "99.9"),
        (0.0, 1, "0.0"),
        (0.0003, 1, "0.03"),
        (1e-12, 1, "0.0"),
        (2e-10, 1, "2e-08"),
        (1 - 1e-15, 1, "100.0"),
        (0.5, 1, "50.0"),
        (1.2, 1, "120.0"),
        (-0.0003, 1, "-0.03"),
    ],
)
def test_only_0_and_100_percent_are_shown_so(share, digits, text):
    assert percent(share, digits) == text


def test_signs_and_other_ends():
    assert percent(0.0, 2, signed=True) == percent(-0.0, 2, signed=True) == "+0.00"
    assert percent(-0.00004, 2, signed=True) == "-0.004"
    assert rounded(0.99997, 4) == "0.99997"
    assert rounded(12.0, 4) == "12.0000"
    assert rounded(math.nan, 4) == "nan"
