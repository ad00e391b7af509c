from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.media.document.order import lines_of, reading_order
from mmkeras.media.document.page import read_page, write_page
from mmkeras.media.document.shapes import SHAPES, shapes_of

PAGE: dict[str, Any] = {
    "width": 200,
    "height": 100,
    "words": ["Total:", "9.50"],
    "boxes": [[10, 5, 50, 15], [60, 5, 90, 15]],
}


def test_every_form_gives_the_same_page(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps(PAGE), "utf-8")
    objects = [{"text": word, "box": box} for word, box in zip(PAGE["words"], PAGE["boxes"], strict=True)]
    forms = [
        PAGE,
        json.dumps(PAGE),
        json.dumps(PAGE).encode(),
        path,
        str(path),
        {**PAGE, "words": objects, "boxes": None},
    ]
    for form in forms:
        page = read_page(form)
        assert page.words == ("Total:", "9.50")
        np.testing.assert_allclose(page.boxes[0], [0.05, 0.05, 0.25, 0.15])
        assert page.segments.tolist() == [0, 0]
    again = read_page(write_page(page))
    assert (again.words, again.segments.tolist()) == (page.words, page.segments.tolist())
    np.testing.assert_allclose(again.boxes, page.boxes, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": []}, "at least one word, got an empty list"),
        ({"words": ["a", " "]}, "word 1: expected a text, got a blank one"),
        ({"words": ["a", 3]}, r"Expected a text \(str\)"),
        ({"boxes": None}, "expected one for each of the 2 words, got none"),
        ({"boxes": [[1, 2, 3, 4]]}, "expected one for each of the 2 words, got 1"),
        ({"boxes": [[10, 5, 50], [60, 5, 90, 15]]}, r"box 0 \('Total:'\): expected left, top"),
        ({"boxes": [[10, 5, 50, 15], [60, 5, 90, float("nan")]]}, r"box 1 \('9.50'\): expected left, top"),
        ({"boxes": [[10, 5, 50, 15], [190, 5, 230, 15]]}, r"box 1 \('9.50'\).* outside of the page of 200 x 100"),
        ({"boxes": [[50, 5, 10, 15], [60, 5, 90, 15]]}, r"box 0 .* empty or turned round"),
        ({"words": [{"text": "a"}, {"text": "b", "box": [1, 1, 2, 2]}]}, r"word 0 \('a'\) has no box"),
        ({"segments": [1]}, "segments: expected a number for each of the 2 words"),
        ({"width": 0}, "width: expected the page's width, a number above 0, got 0"),
        ({"height": True}, "height: expected"),
    ],
)
def test_bad_pages_name_the_word(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_page({**PAGE, **change})


@pytest.mark.parametrize("value", [None, 3, "{", "[]", b"\xff", "nowhere.json", "scan.png"])
def test_other_values_are_no_page(value: Any) -> None:
    with pytest.raises(DataError, match=r"JSON|Expected|expected|cannot be read"):
        read_page(value)


def test_a_box_slightly_beyond_the_edge_is_cut() -> None:
    page = read_page({**PAGE, "boxes": [[-2, 5, 50, 15], [60, 5, 203, 15]]})
    assert page.boxes[:, [0, 2]].tolist() == [[0.0, 0.25], [0.3, 1.0]]


def test_a_part_is_a_page_of_its_own() -> None:
    page = read_page({**PAGE, "segments": ["a", "b"]})
    assert page.segments.tolist() == [0, 1]
    assert page.part(1, 2).segments.tolist() == [0]
    assert page.part(1, 2).words == ("9.50",)


def test_lines_are_read_from_top_to_bottom_and_left_to_right() -> None:
    boxes = np.array([[60, 12, 90, 22], [5, 40, 20, 50], [10, 10, 50, 20], [100, 14, 120, 24]], float)
    assert reading_order(boxes).tolist() == [2, 0, 3, 1]
    assert lines_of(boxes[reading_order(boxes)]).tolist() == [0, 0, 0, 1]


def test_columns_far_apart_are_segments_of_their_own() -> None:
    assert lines_of(np.array([[0, 0, 10, 10], [60, 0, 90, 10], [95, 1, 99, 11]], float)).tolist() == [0, 1, 1]


def test_shapes_tell_amounts_dates_and_words_apart() -> None:
    rows = shapes_of(["12.50", "1.234.000", "03/11/2018", "12:45", "2x", "Total:", "", "Ñ"])
    assert rows.shape == (8, SHAPES)
    assert (rows.min(), rows.max()) == (0.0, 1.0)
    amount, date, time = rows[:, 11], rows[:, 14], rows[:, 15]
    assert amount.tolist()[:6] == [1, 1, 0, 0, 1, 0]
    assert (date.tolist()[:4], time.tolist()[:4]) == ([0, 0, 1, 0], [0, 0, 0, 1])
    assert len(np.unique(rows, axis=0)) == 8
