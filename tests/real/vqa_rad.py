"""A table of VQA-RAD: yes or no, from a radiology picture and a question, split by picture."""

from __future__ import annotations

import json
from pathlib import Path

from mmkeras.data.sources.medpix2 import split_of
from mmkeras.data.sources.vqa_rad import Source
from mmkeras.storage.files import write_text
from tests.real.archives import unpacked

__all__ = ["TARGET", "make_table"]

TARGET = "answer"


def make_table(archive: Path, folder: Path) -> Path:
    """Write ``vqa_rad.jsonl`` with a line for every question that is answered by yes or no.

    The official split shares pictures between its parts; here a fifth of the pictures is the test split and a tenth
    validation, by a hash of the picture.

    Args:
        archive: vqa_rad.tar.xz; not read if the folder holds its content.
        folder: where to unpack and to write.

    Raises:
        DataError: there is no archive.
    """
    rows = [
        {
            "picture": str(Path(sample.values["image"]).relative_to(folder)),
            "question": sample.values["text"],
            "organ": sample.columns["organ"],
            TARGET: sample.target,
            "split": split_of(sample.group or ""),
        }
        for sample in Source(str(unpacked(archive, folder))).samples()
        if sample.target in ("yes", "no")
    ]
    return write_text(folder / "vqa_rad.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
