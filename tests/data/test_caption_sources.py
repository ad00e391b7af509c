"""Sources of pictures with captions: Flickr8k, a table of one's own, emoji."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources import Sample
from mmkeras.data.sources._captions import share_of
from mmkeras.data.sources.captions import Source as Captions
from mmkeras.data.sources.emoji import Source as Emoji
from mmkeras.data.sources.flickr8k import Source as Flickr8k


def _photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype("uint8")).save(path)


def _flickr(folder: Path, *more: str, train: int = 30) -> Path:
    lines = ["split\timage\tn\tcaption"]
    for number in range(train + 4):
        _photo(folder / "images" / f"{number}.png", number)
        split = "train" if number < train else ("dev", "test")[number % 2]
        lines += [f'{split}\t{number}.png\t{n}\tphoto {number}, "said" {n} ways' for n in range(2)]
    (folder / "captions.tsv").write_text("\n".join([*lines, *more]) + "\n", "utf-8")
    return folder


def _read(source: Any) -> tuple[list[Sample], list[Sample]]:
    samples = list(source.samples())
    return [s for s in samples if not isinstance(s.target, Exception)], [
        s for s in samples if isinstance(s.target, Exception)
    ]


def test_dev_is_measured_and_photos_of_train_choose_the_epoch(tmp_path: Path):
    good, bad = _read(Flickr8k(str(_flickr(tmp_path))))
    assert not bad
    by_split = {split: {s.group for s in good if s.split == split} for split in ("train", "validation", "test")}
    assert by_split["test"] == {"30.png", "32.png"}
    assert by_split["validation"] == {f"{n}.png" for n in range(30) if share_of(f"validation {n}.png") < 1 / 12}
    assert len(by_split["train"]) + len(by_split["validation"]) == 30
    assert good[0].target == {"pair": "0.png", "image": "0.png", "text": "0.png#0"}
    assert good[1].values["text"] == 'photo 0, "said" 1 ways'


def test_the_official_files_give_the_same(tmp_path: Path):
    table = _flickr(tmp_path / "table")
    official = tmp_path / "official"
    rows = [line.split("\t") for line in (table / "captions.tsv").read_text("utf-8").splitlines()[1:]]
    (official / "text").mkdir(parents=True)
    (official / "text" / "Flickr8k.token.txt").write_text(
        "".join(f"{image}#{n}\t{caption}\n" for _, image, n, caption in rows) + "else.png#0\tin no list\n", "utf-8"
    )
    for split in ("train", "dev", "test"):
        names = dict.fromkeys(image for of, image, _, _ in rows if of == split)
        (official / "text" / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names), "utf-8")
    for number in range(34):
        _photo(official / "images" / f"{number}.png", number)
    for measured in ("dev", "test"):
        first, second = (
            [(s.key, s.split, s.values["text"]) for s in Flickr8k(str(folder), measured=measured).samples()]
            for folder in (table, official)
        )
        assert first == second
    (official / "text" / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(DataError, match=r"expected Flickr_8k\.devImages\.txt, or captions\.tsv"):
        list(Flickr8k(str(official)).samples())


def test_a_caption_without_a_picture_is_named(tmp_path: Path):
    good, bad = _read(Flickr8k(str(_flickr(tmp_path, "train\tgone.png\t0\ta lost photo", "dev\t30.png\t2\t "))))
    assert [str(sample.target) for sample in bad] == [
        f"the caption 'a lost photo' has no picture: 'gone.png' is not below {tmp_path}",
        "the caption is empty",
    ]
    assert bad[0].origin == "captions.tsv:70"
    assert len(good) == 64


def test_a_pair_in_two_splits_is_left_out_of_training(tmp_path: Path):
    folder = _flickr(tmp_path, 'train\tcopy.png\t0\tPhoto 30,  "said" 0 ways', "train\tcopy.png\t1\tother words")
    (folder / "images" / "copy.png").write_bytes((folder / "images" / "30.png").read_bytes())
    good, bad = _read(Flickr8k(str(folder)))
    assert [str(sample.target) for sample in bad] == [
        "the same picture with the same caption is in test, too (captions.tsv:62); left out of train"
    ]
    assert sum(sample.group == "copy.png" for sample in good) == 1


def test_photos_without_a_partner_are_kept_apart(tmp_path: Path):
    folder = str(_flickr(tmp_path, train=100))
    whole, _ = _read(Flickr8k(folder))
    some, _ = _read(Flickr8k(folder, paired=0.3))
    apart, _ = _read(Flickr8k(folder, paired=0.3, apart=True))
    trained = [sum(s.split == "train" for s in samples) for samples in (whole, some)]
    assert 0.15 * trained[0] < trained[1] < 0.45 * trained[0]
    alone = [sample for sample in apart if None in sample.values.values()]
    assert len(apart) - len(alone) == len(some)
    assert {sample.split for sample in alone} == {"train"}
    names = [sample.target["pair"] for sample in alone]
    assert len(set(names)) == len(names)  # nothing tells what belongs together
    assert sum(sample.values["text"] is None for sample in alone) * 2 == sum(
        sample.values["image"] is None for sample in alone
    )


def test_every_second_caption_sees_the_mirrored_photo_unless_it_names_a_side(tmp_path: Path):
    folder = _flickr(tmp_path, "train\t1.png\t2\tdogs", "train\t1.png\t3\ta dog on the left", train=2)
    assert share_of("validation 1.png") > 1 / 12
    values = [s.values["image"] for s in Flickr8k(str(folder), mirrored=True).samples() if s.group == "1.png"]
    assert [isinstance(value, bytes) for value in values] == [False, True, False, False]
    assert not any(
        isinstance(s.values["image"], bytes)
        for s in Flickr8k(str(folder), mirrored=True).samples()
        if s.split != "train"
    )


def test_wrong_options_and_folders(tmp_path: Path):
    with pytest.raises(ConfigError, match="measured: 'deev'; did you mean 'dev'"):
        Flickr8k(str(tmp_path), measured="deev")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="paired: expected a share"):
        Flickr8k(str(tmp_path), paired=0.0)
    with pytest.raises(DataError, match="which is no folder"):
        list(Flickr8k(str(tmp_path / "gone")).samples())
    (tmp_path / "captions.tsv").write_text("split\timage\ttext\n", "utf-8")
    with pytest.raises(DataError, match="none named caption"):
        list(Flickr8k(str(tmp_path)).samples())
    (tmp_path / "captions.tsv").write_text("split\timage\tcaption\nvalid\ta.png\tb\n", "utf-8")
    with pytest.raises(DataError, match=r"captions\.tsv:2: 'valid' is no split"):
        list(Flickr8k(str(tmp_path)).samples())


def test_a_table_of_ones_own(tmp_path: Path):
    for name in ("a", "b"):
        _photo(tmp_path / f"{name}.png", ord(name))
    table = tmp_path / "mine.csv"
    table.write_text("image,caption,side\na.png,one,train\na.png,two,train\n,lost,train\nb.png,three,tset\n", "utf-8")
    good, bad = _read(Captions(str(table), split="side"))
    assert [(s.group, s.split, s.values["text"]) for s in good] == [
        ("a.png", "train", "one"),
        ("a.png", "train", "two"),
    ]
    assert [str(s.target) for s in bad] == ["the caption 'lost' names no picture", "'tset' is no split"]
    good, _ = _read(Captions(str(table)))
    assert {s.split for s in good} == {None}
    with pytest.raises(DataError, match="no column 'capton'; did you mean"):
        list(Captions(str(table), text="capton").samples())
    assert Captions(str(table)).fingerprint_inputs().keys() == {"table", "pictures", "contents"}


def _emoji(folder: Path) -> Path:
    lines = []
    for code, name in (("1f415", "dog"), ("1f408", "cat"), ("1f400", "")):
        row = {
            "code": code,
            "group": "animals",
            "vendors": ["fluent", "google", "twitter"],
            "names": {"en": name, "zh": "狗"},
            "tags": {"en": ["pet"]},
        }
        lines.append(json.dumps(row))
        for vendor in row["vendors"]:
            _photo(folder / vendor / f"{code}.png", len(lines))
    (folder / "google" / "1f408.png").unlink()
    (folder / "emoji.jsonl").write_text("\n".join([*lines, "{}"]), "utf-8")
    return folder


def test_the_pictures_of_a_designer_are_held_out(tmp_path: Path):
    good, bad = _read(Emoji(str(_emoji(tmp_path)), validation="twitter", tags=True))
    assert [(s.key, s.split) for s in good] == [
        ("fluent/1f415", "test"),
        ("google/1f415", "train"),
        ("google/1f415 tags", "train"),
        ("twitter/1f415", "validation"),
        ("fluent/1f408", "test"),
        ("twitter/1f408", "validation"),
    ]
    assert good[2].values["text"] == "dog, pet"
    assert good[0].target["pair"] == good[1].target["pair"] != good[4].target["pair"]
    said = [str(sample.target) for sample in bad]
    assert said[0] == "the name 'cat' has no picture: google/1f408.png"
    assert said[1] == "1f400 has no name in 'en'"
    assert said[-1].startswith("expected code, vendors and names")
    chinese, _ = _read(Emoji(str(tmp_path), language="zh"))
    assert {sample.values["text"] for sample in chinese} == {"狗"}


def test_unknown_designers_and_languages_are_refused(tmp_path: Path):
    folder = str(_emoji(tmp_path))
    with pytest.raises(ConfigError, match=r"held_out: 'fluet' is not in .*did you mean 'fluent'"):
        list(Emoji(folder, held_out="fluet").samples())
    with pytest.raises(ConfigError, match="language: 'xx'"):
        list(Emoji(folder, language="xx").samples())
    with pytest.raises(DataError, match=r"expected a folder with emoji\.jsonl"):
        list(Emoji("").samples())
