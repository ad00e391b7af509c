"""Pictures with captions as samples: what belongs together, what is missing, and pairs that two splits share."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import SPLITS, Sample
from mmkeras.media.cells import tidy

__all__ = ["Caption", "caption_samples", "share_of"]

_SIDES = ("left", "right")


@dataclass(frozen=True)
class Caption:
    """A row of captions."""

    origin: str
    """``file:line``."""
    picture: str
    """Name of the picture, as in the file."""
    text: str
    """The caption."""
    split: str | None = None
    """``train``, ``validation`` or ``test``; None to draw it by picture."""


def share_of(name: str) -> float:
    """Return a number from 0 up to 1 that depends on a name alone, to choose pictures by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def caption_samples(
    rows: Sequence[Caption],
    place: Callable[[str], Path | None],
    folder: str,
    *,
    paired: float = 1.0,
    apart: bool = False,
    mirrored: bool = False,
) -> Iterator[Sample]:
    """Yield a sample with ``image`` and ``text`` for each caption; its group is the picture.

    The target of a row is an error if its caption is empty, its picture is missing, or if the same picture with the
    same caption is in a later split, too: training must not see what is measured.

    Args:
        rows: the captions in order.
        place: the path of a picture by its name; None if it is missing.
        folder: where pictures were looked for, for messages.
        paired: share of the training pictures that keep their captions.
        apart: the others stay as samples of one modality each; without it, they are left out.
        mirrored: show every second caption of a training picture with the mirrored picture, unless it names a side.
    """
    found = {name: place(name) for name in dict.fromkeys(row.picture for row in rows)}
    contents = {name: _content(path) for name, path in found.items() if path is not None}
    taken = _measured(rows, contents)
    seen: dict[str, int] = {}
    for row in rows:
        path = found[row.picture]
        text = tidy(row.text)
        problem = (
            "the caption is empty"
            if not text
            else f"the caption {text[:60]!r} has no picture: {row.picture!r:.80} is not below {folder}"
            if path is None
            else ""
        )
        if not problem and path is not None and (other := taken.get((contents[row.picture], text.casefold()))):
            split, origin = other
            if split != row.split:
                problem = (
                    f"the same picture with the same caption is in {split}, too ({origin}); left out of {row.split}"
                )
        if problem or path is None:
            yield Sample(key=row.origin, values={}, target=DataError(problem), origin=row.origin)
            continue
        number = seen[row.picture] = seen.get(row.picture, -1) + 1
        image: str | bytes = str(path)
        train = row.split in (None, "train")
        if mirrored and train and number % 2 and not any(side in text.casefold() for side in _SIDES):
            image = _mirrored(path)
        name = f"{row.picture}#{number}"
        target = {"pair": row.picture, "image": row.picture, "text": name}
        common: dict[str, Any] = {"split": row.split, "group": row.picture, "origin": row.origin}
        if train and share_of(row.picture) >= paired:
            if apart:
                # Names of their own: nothing tells what belongs together.
                alone = {"pair": f"alone {name}", "image": f"alone {name}", "text": f"alone {name}"}
                yield Sample(f"{name} text", {"image": None, "text": text}, alone, **common)
                if number == 0:
                    alone = dict.fromkeys(alone, f"alone {row.picture}")
                    yield Sample(f"{name} image", {"image": image, "text": None}, alone, **common)
            continue
        yield Sample(name, {"image": image, "text": text}, target, **common)


def _measured(rows: Sequence[Caption], contents: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return split and origin of every pair, by content of the picture and caption: the last split in which it is."""
    order = {split: number for number, split in enumerate(SPLITS)}
    taken: dict[tuple[str, str], tuple[str, str]] = {}
    for row in sorted((row for row in rows if row.split is not None), key=lambda row: order[str(row.split)]):
        if content := contents.get(row.picture):
            taken[content, tidy(row.text).casefold()] = (str(row.split), row.origin)
    return taken


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _mirrored(path: Path) -> str | bytes:
    """Return the picture mirrored left to right, as a JPEG file; the path where it cannot be read, which says why."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            stream = io.BytesIO()
            ImageOps.mirror(ImageOps.exif_transpose(image).convert("RGB")).save(stream, "JPEG", quality=92)
            return stream.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return str(path)
