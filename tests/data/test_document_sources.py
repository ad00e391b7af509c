from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources import sroie, tagged_pages
from mmkeras.data.sources._key_fields import amount_of, date_of, normalised, tags_of_fields
from mmkeras.media.document.ocr import words_of_lines
from mmkeras.modalities.document.spec import Config as DocumentConfig


def row(count: int, **others: Any) -> dict[str, Any]:
    """Return a page of words, each an entity of its own."""
    found = [
        {"text": f"w{i}", "box": [10 * i, 0, 10 * i + 8, 9], "segment": i // 2, "bio": "B-a"} for i in range(count)
    ]
    return {"doc": "one", "width": 1000, "height": 20, "words": found, **others}


def write(folder: Path, *rows: Any) -> tagged_pages.Source:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in rows]
    (folder / "words.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return tagged_pages.Source(folder=str(folder))


def test_pages_with_tags_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "p.png").write_bytes(b"png")
    (sample, other) = write(tmp_path, row(2, image="p.png"), row(1, doc="two", tags=["O"])).samples()
    assert (sample.key, sample.group, sample.split) == ("one", "one", None)
    assert sample.values["image"] == str(tmp_path / "images" / "p.png")
    assert sample.values["document"]["words"] == ["w0", "w1"]
    assert (sample.target, other.target, other.values["image"]) == (["B-a", "B-a"], ["O"], None)


def test_official_splits_are_taken_where_there_are_several(tmp_path: Path) -> None:
    splits = [each.split for each in write(tmp_path, row(1, split="train"), row(1, split="val", doc="2")).samples()]
    assert splits == ["train", "validation"]
    assert [each.split for each in write(tmp_path, row(1, split="train")).samples()] == [None]


def test_lines_end_at_line_feeds_alone_and_a_bad_one_says_why(tmp_path: Path) -> None:
    words = [{"text": "one\u2028two", "box": [0, 0, 8, 9], "segment": 0, "bio": "O"}]
    page = json.dumps(row(1, words=words), ensure_ascii=False)
    good, bad = write(tmp_path, page, '{"doc": ').samples()
    assert good.values["document"]["words"] == ["one\u2028two"]
    assert str(bad.target).startswith("words.jsonl:2: ")
    assert "got a line with: not valid JSON" in str(bad.target)
    (unread,) = write(tmp_path, row(1, words=["a", 5], boxes=[[0, 0, 8, 9]] * 2, tags=["O", "O"])).samples()
    assert "word 1: Expected a text (str), got int" in str(unread.target)


def test_long_pages_become_windows_in_which_every_word_has_its_tag_once(tmp_path: Path) -> None:
    source = write(tmp_path, row(50)).derived({"document": DocumentConfig(words=20, overlap=6).spec_before_data("d")})
    samples = list(source.samples())
    assert [each.key for each in samples] == ["one 1/4", "one 2/4", "one 3/4", "one 4/4"]
    assert {each.group for each in samples} == {"one"}
    assert all(len(each.target) == len(each.values["document"]["words"]) == 20 for each in samples)
    tagged = [
        word
        for each in samples
        for word, tag in zip(each.values["document"]["words"], each.target, strict=True)
        if tag is not None
    ]
    assert tagged == [f"w{i}" for i in range(50)]
    short = tagged_pages.Source(folder=str(tmp_path), window=6)
    with pytest.raises(ConfigError, match="overlap: expected 0 to 5, fewer words than a window has, got 6"):
        short.derived({"document": DocumentConfig(words=20, overlap=6).spec_before_data("d")})
    with pytest.raises(ConfigError, match="expected at most the 20 words"):
        tagged_pages.Source(folder="x", window=30).derived(
            {"document": DocumentConfig(words=20, overlap=6).spec_before_data("d")}
        )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", r"words.jsonl:1: expected a JSON object"),
        (row(2, width=15), r"words.jsonl:1: box 1 \('w1'\).*outside of the page"),
        (row(1, words=[{"text": "a", "box": [0, 0, 1, 1]}]), "word 0 has no bio"),
        (row(1, words=[{"text": "a"}]), "has no box"),
        (row(1, image="p.png"), r"the picture p.png is not in"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, bad: Any, message: str) -> None:
    first, second = write(tmp_path, bad, row(1, doc="two")).samples()
    assert isinstance(first.target, DataError)
    with pytest.raises(DataError, match=message):
        raise first.target
    assert second.target == ["B-a"]


def test_a_folder_without_pages_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected \.jsonl files"):
        list(tagged_pages.Source(folder=str(tmp_path)).samples())
    with pytest.raises(ConfigError, match="expected a folder"):
        list(tagged_pages.Source().samples())


# === SROIE ===

LINES = """10,10,190,10,190,20,10,20,AEON CO. (M) BHD (126926-H)
10,25,190,25,190,35,10,35,NO 31G, JALAN SEPADU
10,40,100,40,100,50,10,50,25 TAMAN INDUSTRIES
10,60,100,60,100,70,10,70,DATE: 12/01/2019 10:15
10,80,60,80,60,90,10,90,CASH
120,80,160,80,160,90,120,90,RM50.00
10,95,60,95,60,105,10,105,TOTAL
120,95,160,95,160,105,120,105,RM 33.90
"""
FIELDS = {
    "company": "AEON CO. (M) BHD",
    "address": "NO 31G, JALAN SEPADU 25 TAMAN INDUSTRIES",
    "date": "12/01/2019",
    "total": "33.90",
}


def receipt(folder: Path, name: str = "007", lines: str = LINES, fields: Any = None) -> sroie.Source:
    for part in ("box", "key"):
        (folder / "data" / part).mkdir(parents=True, exist_ok=True)
    (folder / "data" / "box" / f"{name}.csv").write_text(lines, "utf-8")
    (folder / "data" / "key" / f"{name}.json").write_text(json.dumps(fields or FIELDS), "utf-8")
    (folder / "derived_sizes.csv").write_text(f"id,orig_w,orig_h,w,h\n{name},200,120,100,60\n", "utf-8")
    return sroie.Source(folder=str(folder))


def test_words_of_fields_are_found(tmp_path: Path) -> None:
    (sample,) = receipt(tmp_path).samples()
    assert sample.columns == FIELDS
    by_field: dict[str, list[str]] = {}
    for word, tag in zip(sample.values["document"]["words"], sample.target, strict=True):
        by_field.setdefault(tag[2:], []).append(word)
    assert by_field["company"] == ["AEON", "CO.", "(M)", "BHD"]
    assert by_field["address"] == ["NO", "31G,", "JALAN", "SEPADU", "25", "TAMAN", "INDUSTRIES"]
    assert (by_field["date"], by_field["total"]) == (["12/01/2019"], ["33.90"])
    assert sample.values["document"]["segments"][:7] == [0, 0, 0, 0, 0, 1, 1]


def test_each_receipt_is_in_one_fold(tmp_path: Path) -> None:
    receipt(tmp_path)
    splits = [next(iter(sroie.Source(folder=str(tmp_path), fold=fold).samples())).split for fold in range(5)]
    assert (splits.count("test"), splits.count(None)) == (1, 4)
    with pytest.raises(ConfigError, match="fold from 0 to folds - 1"):
        sroie.Source(fold=5)
    with pytest.raises(ConfigError, match="expected files or rapidocr"):
        sroie.Source(words="tesseract")  # type: ignore[arg-type]


def test_a_bad_line_of_a_receipt_is_named(tmp_path: Path) -> None:
    (sample,) = receipt(tmp_path, lines="1,2,3,TOTAL\n").samples()
    with pytest.raises(DataError, match=r"007.csv:1: expected eight numbers and a text"):
        raise sample.target


@pytest.mark.parametrize(
    ("text", "amount"),
    [("RM 1,234.5", "1234.50"), ("TOTAL: 33,90", "33.90"), ("9", "9.00"), ("", ""), ("none", ""), ("1,000", "1000.00")],
)
def test_totals_are_normalised(text: str, amount: str) -> None:
    assert amount_of(text) == amount


def test_fields_are_normalised() -> None:
    assert normalised("company", "MR D.I.Y. (Johor) Sdn Bhd") == "MRDIYJOHORSDNBHD"
    assert normalised("date", "DATE: 25 Mar 2018 18:20") == "25MAR2018"
    assert date_of("12-01-19 21:13 SH01") == "12-01-19"


def test_a_fault_in_the_tags_of_fields_would_be_seen() -> None:
    """Equal amounts on lines that name no total are left out where one does."""
    words, lines = ["CASH", "33.90", "TOTAL", "33.90"], [0, 0, 5, 5]
    assert tags_of_fields(words, lines, {"total": "33.90"}) == ["O", "O", "O", "B-total"]
    assert tags_of_fields(words[:2], lines[:2], {"total": "33.90"}) == ["O", "B-total"]


def test_lines_are_divided_at_blanks() -> None:
    words, boxes, segments = words_of_lines(["ab  cd", "x"], np.array([[0, 0, 60, 10], [0, 20, 10, 30]], float))
    assert (words, segments) == (["ab", "cd", "x"], [0, 0, 1])
    np.testing.assert_allclose(boxes, [[0, 0, 20, 10], [40, 0, 60, 10], [0, 20, 10, 30]])
