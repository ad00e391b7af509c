"""Questions about photos and radiology images: DAQUAR and VQA-RAD in their published forms."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources import daquar, vqa_rad
from mmkeras.data.sources._contract import Sample
from tests.media.image.pictures import file, picture

LISTS = {
    "train": "how many chairs are in the image1 ?\n4\nwhat is left of the door in the image1 ?\ntable, chair\n",
    "test": "what color is the bed in the image2 ?\nwhite\n",
}
ROW = {"image_name": "synpic1.jpg", "question": "Is it normal?", "answer": "Yes ", "answer_type": "CLOSED "}
MORE = {"image_organ": "HEAD", "question_type": "PRES, POS"}


def photos(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(file(picture(20, 30, seed=number)))


def bad(samples: list[Sample]) -> list[str]:
    return [f"{sample.origin}: {sample.target}" for sample in samples if isinstance(sample.target, Exception)]


def test_daquar_s_lists_give_questions_without_the_photo_s_name(tmp_path: Path):
    photos(tmp_path / "nyu_depth_images", "image1.png", "image2.png")
    for split, text in LISTS.items():
        (tmp_path / f"qa.894.raw.{split}.txt").write_text(text)
    first, second, third = daquar.Source(str(tmp_path)).samples()
    assert first.values == {"image": str(tmp_path / "nyu_depth_images/image1.png"), "text": "how many chairs are ?"}
    assert (first.target, first.split, first.group) == ("4", "train", "image1")
    assert first.columns == {"question_type": "how many", "answers": "one"}
    assert (second.target, second.columns["answers"]) == ("table, chair", "several")
    assert (third.split, third.columns["question_type"]) == ("test", "what colour")
    assert second.origin == "qa.894.raw.train.txt:3"


def test_rows_of_daquar_that_cannot_be_used_are_named(tmp_path: Path):
    photos(tmp_path / "images", "image1.jpg")
    rows = ["split\timage\tquestion\tanswer", 'train\timage1.jpg\twhat is "it" in image1 ?\tlamp']
    rows += ["train\timage9.jpg\twhat ?\tlamp", "trian\timage1.jpg\twhat ?\tlamp", "test\timage1.jpg\twhat ?\t"]
    (tmp_path / "qa.tsv").write_text("\n".join(rows) + "\n")
    samples = list(daquar.Source(str(tmp_path)).samples())
    assert samples[0].values["text"] == 'what is "it" ?'
    assert bad(samples) == [
        f"qa.tsv:3: the photo image9.jpg is not below {tmp_path}",
        "qa.tsv:4: 'trian' is not a split",
        "qa.tsv:5: the answer is empty",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected qa.894.raw.train.txt and qa.894.raw.test.txt, or qa.tsv"),
        ({"qa.tsv": "image\tquestion\n"}, "got none named split, answer"),
        ({"qa.894.raw.train.txt": "one\n", "qa.894.raw.test.txt": ""}, "a line of its answer in turn, got 1"),
    ],
)
def test_folders_without_daquar_are_refused(tmp_path: Path, files: dict[str, str], message: str):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        list(daquar.Source(str(tmp_path)).samples())
    with pytest.raises(ConfigError, match="classes: '36'"):
        daquar.Source(str(tmp_path), classes="36")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got '', which is no folder"):
        list(daquar.Source("").samples())


@pytest.mark.parametrize("name", ["qa.jsonl", "VQA_RAD Dataset Public.json"])
def test_vqa_rad_gives_closed_questions_grouped_by_image(tmp_path: Path, name: str):
    photos(tmp_path / "images", "synpic1.jpg")
    rows: list[dict[str, Any]] = [ROW | MORE, ROW | {"answer_type": "OPEN", "answer": "Left lung"}, ROW | {"answer": 2}]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / name).write_text(lines if name.endswith("l") else json.dumps(rows))
    first, second = vqa_rad.Source(str(tmp_path)).samples()
    assert (first.target, first.group, first.split) == ("yes", "synpic1", None)
    assert first.columns == {"organ": "head", "answer_type": "closed", "question_type": "pres"}
    assert second.target == "2"
    (opened,) = vqa_rad.Source(str(tmp_path), answers="open").samples()
    assert opened.target == "left lung"
    assert len(list(vqa_rad.Source(str(tmp_path), answers="all").samples())) == 3


def test_rows_of_vqa_rad_that_cannot_be_used_are_named(tmp_path: Path):
    photos(tmp_path, "synpic1.jpg")
    rows = ["{", json.dumps([1]), json.dumps(ROW | {"question": ""}), json.dumps(ROW | {"answer_type": "MAYBE"})]
    rows += [json.dumps(ROW | {"image_name": "synpic2.jpg"}), json.dumps(ROW)]
    (tmp_path / "qa.jsonl").write_text("\n".join(rows))
    samples = list(vqa_rad.Source(str(tmp_path)).samples())
    assert len(samples) == 6
    assert bad(samples) == [
        "qa.jsonl:1: expected a JSON object",
        "qa.jsonl:2: expected a JSON object",
        "qa.jsonl:3: expected image_name, question, answer, answer_type, got no question",
        "qa.jsonl:4: answer_type: expected CLOSED or OPEN, got 'MAYBE'",
        f"qa.jsonl:5: the image synpic2.jpg is not below {tmp_path}",
    ]
    with pytest.raises(ConfigError, match="answers: 'close'; did you mean 'closed'"):
        vqa_rad.Source(str(tmp_path), answers="close")  # type: ignore[arg-type]


def test_the_real_archives_are_read_whole(shared_data: Callable[[str], Path]):
    questions = list(daquar.Source(str(shared_data("daquar"))).samples())
    assert Counter(sample.split for sample in questions) == {"train": 6795, "test": 2514}
    assert not bad(questions)
    sides: dict[str | None, set[str | None]] = {}
    for sample in questions:
        sides.setdefault(sample.group, set()).add(sample.split)
    assert len(sides) == 1085
    assert all(len(splits) == 1 for splits in sides.values())
    closed = list(vqa_rad.Source(str(shared_data("vqa_rad"))).samples())
    assert (len(closed), len({sample.group for sample in closed}), bad(closed)) == (1604, 226, [])
