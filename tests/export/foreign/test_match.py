from __future__ import annotations

import pytest

from export.foreign.match import match, parse_pairs, plain_name
from mmkeras.core.errors import ConfigError

PICTURE, MOVED = (8, 9, 3), (3, 8, 9)


def matched(file, reference, declared=None, ignored=()):
    pairs, problems = match("input", file, reference, declared or {}, ignored)
    return [(pair.file, pair.reference, pair.how) for pair in pairs], problems


def test_the_order_of_the_ways_to_match():
    file = {"serving_default_image:0": MOVED, "ids": (4,), "a": (2,), "b": (2,)}
    reference = {"ids": (4,), "c": (2,), "d": (2,), "image": PICTURE}
    assert matched(file, reference) == (
        [
            ("serving_default_image:0", "image", "similar name"),
            ("ids", "ids", "same name"),
            ("a", "c", "order"),
            ("b", "d", "order"),
        ],
        [],
    )


def test_a_shape_that_occurs_once_is_matched_whatever_its_layout():
    assert matched({"x": MOVED, "y": (4,)}, {"v": (4,), "w": PICTURE})[0] == [
        ("x", "w", "only ones of this shape"),
        ("y", "v", "only ones of this shape"),
    ]


def test_declared_pairs_come_first_and_ignored_names_not_at_all():
    assert matched({"a": (2,), "b": (2,)}, {"a": (2,), "c": (2,)}, {"a": "c"})[0] == [
        ("a", "c", "declared"),
        ("b", "a", "only ones of this shape"),
    ]
    assert matched({"a": (2,), "b": (3,)}, {"a": (2,)}, ignored=("b",)) == ([("a", "a", "same name")], [])


def test_names_without_a_partner_are_problems():
    assert matched({"a": (2,), "b": (3,)}, {"a": (2,)})[1] == ["input 'b' of FILE has no partner in the reference"]
    with pytest.raises(ConfigError, match="there is no input 'z'"):
        matched({"a": (2,)}, {"b": (2,)}, {"a": "z"})
    with pytest.raises(ConfigError, match="NAME_IN_FILE=NAME_IN_REFERENCE"):
        parse_pairs(["a"])


@pytest.mark.parametrize("name", ["image", "Image", "serving_default_image:0", "model/image:0", "inference_image"])
def test_what_converters_add_to_a_name_is_left_out(name):
    assert plain_name(name) == "image"
