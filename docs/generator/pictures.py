"""Makes the pictures of README and of the pages: python -m docs.generator.pictures (make pictures).

    python -m docs.generator.pictures --bundle saved_models/vqa/1 --run runs/vqa/latest

``prediction.png`` shows answers of the bundle's int8 LiteRT file to questions about a golden picture, ``report.png``
the top of the report of a run, as Chromium shows it (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmkeras.bundle import Bundle
from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import DataError, DependencyError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.evaluation.pictures.style import BLUE, GREY, LIGHT, bare, figure_to_png, new_figure, styled
from mmkeras.runtime import Predictor
from mmkeras.storage.files import write_bytes

__all__ = ["LARGEST", "PICTURES", "main", "prediction"]

PICTURES = Path(__file__).resolve().parents[1] / "pages" / "pictures"
"""Where the pictures of the checkout are."""
LARGEST = 200_000
"""Bytes of a picture, at most."""
QUESTIONS = ("what color is the shape?", "what shape does the image contain?", "is there a green shape?")
"""What is asked about the picture; the first question also without the picture."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_REPORT = (960, 1120)
"""Width and height of the part of the report that is shown, in pixels."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Make both pictures; return 0, or 2 if one cannot be made."""
    parser = argparse.ArgumentParser("python -m docs.generator.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", type=Path, default=Path("saved_models/vqa"), help="of easy-VQA (%(default)s)")
    parser.add_argument("--run", type=Path, default=Path("runs/vqa/latest"), help="of easy-VQA (%(default)s)")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder of the pictures")
    given = parser.parse_args(arguments)
    console = Console()
    try:
        for name, content in (("prediction", prediction(given.bundle)), ("report", _report(given.run))):
            path = given.out / f"{name}.png"
            write_bytes(path, _small(content))
            console.print(f"written: {path}", markup=False, highlight=False)
    except MmkerasError as error:
        print_error(error)
        return 2
    return 0


@styled()
def prediction(place: Path, precision: str = "int8") -> bytes:
    """Return a picture of the answers of a bundle's LiteRT file, as PNG.

    Args:
        place: the bundle; its modalities are ``image`` and ``text``.
        precision: of the file.

    Raises:
        MmkerasError: the bundle cannot be used.
    """
    bundle = Bundle.open(place)
    try:
        picture = next(values["image"] for values in bundle.golden_raw() if values.get("image"))
    except StopIteration:
        raise DataError(f"{place}: expected a golden sample with an image, got none") from None
    figure = new_figure(7.2, 3.7)
    rows = [["image", str(at)] for at in range(len(QUESTIONS) + 1)]
    left, *right = figure.subplot_mosaic(rows, width_ratios=(1, 2)).values()
    left.imshow(_pixels(picture), interpolation="nearest")
    left.set_title("image", fontsize=9, color=GREY)
    bare(left)
    with Predictor(bundle, format="tflite", precision=precision) as predictor:
        for axes, question in zip(right, QUESTIONS, strict=False):
            _answers(axes, question, predictor.predict(image=picture, text=question)["top"])
        _answers(right[-1], f"{QUESTIONS[0]} (without the image)", predictor.predict(text=QUESTIONS[0])["top"])
    figure.supxlabel(f"confidence of the {precision} LiteRT file", fontsize=8.5, color=GREY)
    return figure_to_png(figure)


def _answers(axes: Any, question: str, top: Sequence[dict[str, Any]]) -> None:
    labels = [each["label"] for each in top][::-1]
    shares = [100 * each["confidence"] for each in top][::-1]
    axes.barh(labels, shares, color=[LIGHT] * (len(top) - 1) + [BLUE], height=0.7)
    # Rounded down: 99.997 is not 100.
    axes.text(1, len(top) - 1, f"{int(10 * shares[-1]) / 10:.1f} %", va="center", fontsize=8, color="white")
    axes.set_xlim(0, 100)
    axes.set_title(question, fontsize=9)
    axes.tick_params(length=0, labelsize=8)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _pixels(picture: Any) -> Image.Image:
    content = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    with Image.open(content) as opened:
        return opened.convert("RGB")


def _report(run: Path) -> bytes:
    report = (run / "report.html").resolve()
    if not report.is_file():
        raise DataError(f"{report} is missing. make demo writes it")
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise DependencyError(f"none of {', '.join(_BROWSERS)} is installed. Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "report.png")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/user")
        size = f"--window-size={_REPORT[0]},{_REPORT[1]}"
        done = subprocess.run(
            [browser, *options, size, f"--screenshot={picture}", report.as_uri()],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not picture.is_file():
            raise DataError(f"{browser}: expected a picture of {report}, got status {done.returncode}: {done.stderr}")
        return picture.read_bytes()


def _small(content: bytes) -> bytes:
    """Return a PNG with 128 colours.

    Raises:
        DataError: it is larger than `LARGEST`.
    """
    with Image.open(io.BytesIO(content)) as opened:
        reduced = opened.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, "PNG", optimize=True)
    if buffer.tell() > LARGEST:
        raise DataError(f"expected a picture of at most {LARGEST} bytes, got {buffer.tell()}")
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
