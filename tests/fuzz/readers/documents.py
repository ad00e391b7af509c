"""Pages of words with boxes: JSON lines with tags, and receipts of SROIE, with everything that a page goes through."""

from __future__ import annotations

import json
from pathlib import Path

from mmkeras.data.encode import Encoder
from mmkeras.data.quarantine import BadRow, reasons
from mmkeras.data.sources import sroie, tagged_pages
from mmkeras.modalities.document.spec import Config
from mmkeras.tasks.tags.spec import Config as TagsConfig
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_BOXES = [[10, 10, 50, 20], [60, 10, 90, 20], [10, 30, 80, 40]]


def _write_pages(folder: Path) -> None:
    words = [
        {"text": text, "box": box, "segment": place, "bio": bio}
        for place, (text, box, bio) in enumerate(
            zip(("Date:", "1/2/98", "ok"), _BOXES, ("O", "B-a", "I-a"), strict=True)
        )
    ]
    pages = [{"doc": str(n), "width": 100, "height": 50, "words": words[: n + 1]} for n in range(3)]
    (folder / "words.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages), "utf-8")


def _write_receipt(folder: Path) -> None:
    for part in ("box", "key"):
        (folder / "data" / part).mkdir(parents=True)
    lines = [f"{x},{y},{r},{y},{r},{b},{x},{b},TOTAL 9.{n}" for n, (x, y, r, b) in enumerate(_BOXES)]
    (folder / "data" / "box" / "1.csv").write_text("\n".join(lines) + "\n", "utf-8")
    fields = {"company": "A", "date": "1/2/2018", "address": "B", "total": "9.1"}
    (folder / "data" / "key" / "1.json").write_text(json.dumps(fields), "utf-8")
    (folder / "derived_sizes.csv").write_text("id,orig_w,orig_h,w,h\n1,100,50,50,25\n", "utf-8")


def _encoded(source: tagged_pages.Source | sroie.Source) -> object:
    config = Config(words=4, overlap=1)
    spec = config.spec_before_data("document")
    task = TagsConfig(labels=("a", *("company", "date", "address", "total"))).spec({"document": spec})
    rows = Encoder({"document": spec}, task).encode(list(source.derived({"document": spec}).samples()), "train")
    return reasons([row for row in rows if isinstance(row, BadRow)])


def _read_pages(path: Path) -> object:
    return _encoded(tagged_pages.Source(folder=str(path)))


def _read_receipt(path: Path) -> object:
    return _encoded(sroie.Source(folder=str(path)))


READERS = (
    Reader("tagged_pages", _write_pages, _read_pages),
    Reader("sroie", _write_receipt, _read_receipt, whole=True),
)
