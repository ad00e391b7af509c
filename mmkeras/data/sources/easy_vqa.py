"""easy-VQA: questions about the colour and shape of one object (https://github.com/vzhou842/easy-VQA, MIT).

4,000 training and 1,000 test images of 64x64 pixels with 38,575 and 9,673 questions, in the PyPI package ``easy-vqa``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError, require
from mmkeras.data.sources._contract import Sample, SourceBase

__all__ = ["Source", "describe_question"]

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")


@dataclass(frozen=True)
class Source(SourceBase):
    """The official splits of easy-VQA, modalities ``image`` and ``text``. It takes no options.

    The group is the image, so that a validation split taken from training shares no image with it. Columns:
    ``question_type`` (``what colour``, ``what shape``, ``is there a colour``, ``is there a shape``, and the last two
    with ``, negated``), and the ``colour`` and ``shape`` in the question, empty where there is none.
    """

    def samples(self) -> Iterator[Sample]:
        """Yield the training questions, then the test questions, in the order of the package."""
        package = require("easy_vqa", "train")
        for split in ("train", "test"):
            texts, answers, images = getattr(package, f"get_{split}_questions")()
            paths = getattr(package, f"get_{split}_image_paths")()
            for number, (text, answer, image) in enumerate(zip(texts, answers, images, strict=True)):
                yield Sample(
                    key=f"{split}/{number}",
                    values={"image": paths.get(image, f"{split}/images/{image}.png"), "text": text},
                    target=answer,
                    split=split,
                    group=f"{split}/{image}",
                    columns=describe_question(text),
                    origin=f"{split}/questions.json:{number + 1}",
                )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the package's version, hashes of its questions, and a hash of the names and sizes of its images.

        The images are not read: that would take longer than the rest of a repeated run.
        """
        folder = Path(str(require("easy_vqa", "train").__file__)).parent / "data"
        result = {"easy-vqa": importlib.metadata.version("easy-vqa")}
        for split in ("train", "test"):
            questions = folder / split / "questions.json"
            if not questions.is_file():
                raise DataError(
                    f"{questions}: no such file. Reinstall the package: pip install --force-reinstall easy-vqa"
                )
            result[f"{split}/questions.json"] = hashlib.sha256(questions.read_bytes()).hexdigest()
            listing = sorted((path.name, path.stat().st_size) for path in (folder / split / "images").iterdir())
            result[f"{split}/images"] = hashlib.sha256(repr(listing).encode()).hexdigest()
        return result


def describe_question(text: str) -> dict[str, Any]:
    """Return the columns of a question.

    >>> describe_question("is there not a red shape in the image?")
    {'question_type': 'is there a colour, negated', 'colour': 'red', 'shape': ''}
    """
    words = text.rstrip("?").split()
    colour = next((word for word in words if word in COLOURS), "")
    shape = next((word for word in words if word in SHAPES), "")
    if words[0] == "what":
        kind = "what colour" if "color" in words else "what shape"
    else:
        kind = f"is there a {'colour' if colour else 'shape'}"
        if "not" in words or "no" in words:
            kind += ", negated"
    return {"question_type": kind, "colour": colour, "shape": shape}
