"""A table of VQA-RAD: yes or no, from a radiology picture and a question, split by picture."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_text

__all__ = ["TARGET", "make_table"]

TARGET = "answer"


def make_table(archive: Path, folder: Path) -> Path:
    """Unpack the archive into a folder, and write ``vqa_rad.jsonl`` there: a line for every closed question.

    The official split shares pictures between its parts; here a fifth of the pictures is the test split and a tenth
    validation, by a hash of the picture.

    Args:
        archive: vqa_rad.tar.xz; not read if the folder holds its content.
        folder: where to write.

    Raises:
        DataError: there is no archive.
    """
    if not (folder / "vqa_rad").is_dir():
        if not archive.is_file():
            raise DataError(f"{archive}: no such file. Name the folder of the archives: --archives DIR")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    rows = []
    for line in (folder / "vqa_rad" / "qa.jsonl").read_text("utf-8").splitlines():
        given = json.loads(line)
        answer = str(given["answer"]).strip().lower()
        if given["answer_type"].strip() != "CLOSED" or answer not in ("yes", "no"):
            continue
        place = int(hashlib.sha256(given["image_name"].encode()).hexdigest(), 16) % 10
        rows.append(
            {
                "picture": f"vqa_rad/images/{given['image_name']}",
                "question": given["question"],
                "organ": given["image_organ"],
                TARGET: answer,
                "split": "test" if place < 2 else "validation" if place == 2 else "train",
            }
        )
    return write_text(folder / "vqa_rad.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
