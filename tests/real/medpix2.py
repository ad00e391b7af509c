"""The location of MedPix 2.0 from picture, history, age and sex, by plain mmkeras fit.

    python -m tests.real.medpix2 --record

It makes a table from the unpacked archive, runs ``mmkeras fit`` on it, and records the accuracy on cases that neither
training nor validation has seen. The official lists of cases for validation and test are not in the archive: of its
535 training cases a fifth is the test split and a tenth validation, chosen by a hash of the case, so that all pictures
of a case are in one split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import DataError, MmkerasError, TrainingError
from mmkeras.core.terminal import utf8_program
from mmkeras.core.typed import read_json
from mmkeras.data.sources.medpix2 import split_of
from mmkeras.storage.files import write_text
from pipelines._stages.results import record
from tests.real.archives import unpacked

__all__ = ["main", "make_table"]

_ARCHIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "medpix2.tar.xz"
_TARGET = "location_category"
FIT = ("--target", _TARGET, "--quality", "balanced", "--pretrained", "yes")
"""The options of ``mmkeras fit``."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Make the table, fit, and show the accuracy; return 0, or 2 where it cannot be measured."""
    parser = argparse.ArgumentParser("python -m tests.real.medpix2", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--archive", type=Path, default=_ARCHIVE, help="medpix2.tar.xz (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where to work, and to keep the run; a temporary one by default")
    parser.add_argument("--record", action="store_true", help="write the number into docs/results.json")
    given, further = parser.parse_known_args(arguments)
    console = Console()
    try:
        if given.record and further:
            raise DataError(f"--record measures plain mmkeras fit; leave out {' '.join(further)}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.folder or Path(temporary)
            accuracy = _fit(make_table(given.archive, folder), further, console)
        shown = ", ".join(f"{name} {100 * accuracy[name]:.1f} %" for name in ("value", "low", "high"))
        console.print(f"location, test cases: accuracy {shown}", highlight=False)
        if given.record:
            value, low, high = (100 * accuracy[name] for name in ("value", "low", "high"))
            result = record("medpix2.fit", value, low=low, high=high)
            console.print(f"recorded medpix2.fit: {result.value:g} (bar {result.bar:g}, goal {result.goal:g})")
    except MmkerasError as error:
        print_error(error)
        return 2
    return 0


def make_table(archive: Path, folder: Path) -> Path:
    """Unpack the archive into a folder, and write ``medpix2.jsonl`` there: a line for every picture.

    Raises:
        DataError: there is no archive.
    """
    data = unpacked(archive, folder)
    cases = {case["U_id"]: case["Case"] for case in _lines(data / "cases.jsonl")}
    rows = [
        {
            "case": picture["case"],
            "image": f"medpix2/images/{picture['image']}",
            "history": cases[picture["case"]].get("History") or "",
            "age": picture["age"],
            "sex": picture["sex"],
            _TARGET: picture[_TARGET],
            "split": split_of(picture["case"]),
        }
        for picture in _lines(data / "images.jsonl")
    ]
    return write_text(folder / "medpix2.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _fit(table: Path, further: Sequence[str], console: Console) -> dict[str, float]:
    """Run ``mmkeras fit``; return the accuracy on the test split with its interval."""
    rows = Counter(row["split"] for row in _lines(table))
    console.print(f"{table}: {', '.join(f'{count} pictures in {split}' for split, count in rows.items())}")
    command = [sys.executable, "-m", "mmkeras", "fit", table.name, *FIT, "--skip_export", *further]
    done = subprocess.run(command, cwd=table.parent, check=False)
    if done.returncode:
        raise TrainingError(f"mmkeras fit ended with status {done.returncode}")
    metrics = read_json(table.parent / "runs/medpix2/latest/metrics.json", TrainingError, "Fit again.")
    found: dict[str, float] = metrics["test"]["accuracy"]
    return found


if __name__ == "__main__":
    sys.exit(main())
