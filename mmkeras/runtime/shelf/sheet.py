"""A contact sheet: the pictures of an answer with their rank, similarity and name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mmkeras.core.errors import DataError
from mmkeras.media.image.pixels import read_rgb
from mmkeras.storage.files import write_bytes

__all__ = ["contact_sheet"]

_CELL, _LINES, _GAP = 192, 40, 8
_PER_ROW = 5
_LONGEST = 28


def contact_sheet(path: Path, title: str, answers: Sequence[tuple[str, float]]) -> None:
    """Write a PNG file with the pictures of an answer, best first.

    A picture that cannot be read any more is a grey cell that says so.

    Args:
        path: of the PNG file.
        title: the question.
        answers: path and similarity of each picture.
    """
    columns = max(1, min(_PER_ROW, len(answers)))
    rows = max(1, -(-len(answers) // _PER_ROW))
    step, tall = _CELL + _GAP, _CELL + _LINES + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * tall + 36), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 8), title[:100], fill="black", font=ImageFont.load_default(18))
    small = ImageFont.load_default(13)
    for place, (name, score) in enumerate(answers):
        left, top = _GAP + place % _PER_ROW * step, 36 + place // _PER_ROW * tall
        picture = _thumbnail(Path(name))
        if picture is None:
            draw.rectangle((left, top, left + _CELL, top + _CELL), fill="lightgrey")
            draw.text((left + 8, top + _CELL // 2), "cannot be read", fill="black", font=small)
        else:
            sheet.paste(picture, (left + (_CELL - picture.width) // 2, top + (_CELL - picture.height) // 2))
        shown = Path(name).name
        shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
        draw.text((left, top + _CELL + 4), f"{place + 1}.  {score:.3f}\n{shown}", fill="black", font=small)
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def _thumbnail(path: Path) -> Image.Image | None:
    try:
        picture = read_rgb(path)
    except DataError:
        return None
    picture.thumbnail((_CELL, _CELL))
    return picture
