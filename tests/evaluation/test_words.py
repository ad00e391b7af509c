import numpy as np
import pytest

from mmkeras.evaluation.intervals import Interval
from mmkeras.evaluation.words import amount, change, number, span, span_of_change, step


def text(value: str) -> str:
    return value.replace("\u00a0", " ")


def test_only_what_is_exactly_0_or_100_percent_is_shown_so():
    assert text(number("accuracy", 0.9997)) == "99.97 %"
    assert text(number("accuracy", 1.0)) == "100.0 %"
    assert text(number("macro_f1", 0.0002)) == "0.02 %"
    assert text(span("accuracy", {"low": 0.9993, "high": 0.99997})) == "99.9 – 99.997 %"
    assert span_of_change("accuracy", {"low": -0.0003, "high": 0.02}) == "-0.03 to +2.0 points"
    assert text(step("accuracy", -0.00002)) == "-0.002 points"
    assert change("accuracy", Interval(0.0003, -0.0001, 0.0)) == "+0.03 points, interval -0.01 to +0.0"


def test_an_interval_of_one_group_is_said_to_be_missing():
    unknown = Interval(0.25, np.nan, np.nan)
    assert change("accuracy", unknown) == "+25.0 points, no interval: a single group"
    assert amount("accuracy", unknown) == "25.0 points, no interval: a single group"


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Interval(-0.325, -0.339, -0.312), "32.5 points, interval 31.2 to 33.9"),
        (Interval(0.325, 0.312, 0.339), "32.5 points, interval 31.2 to 33.9"),
        (Interval(-0.1, -0.3, 0.1), "10.0 points, interval -10.0 to 30.0"),
    ],
)
def test_an_amount_has_no_sign_of_its_own(difference, words):
    assert amount("accuracy", difference) == words
