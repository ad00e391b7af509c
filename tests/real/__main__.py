"""Runs ``mmkeras fit`` on real tables, each in an empty folder, from the table to verified files.

    python -m tests.real                     # every table
    python -m tests.real covid_cxr           # one

It ends with a table: what fit made of each, how long it took, and the gate's verdict on every exported file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import MmkerasError, TrainingError
from mmkeras.core.terminal import utf8_program
from tests.real import covid_cxr, medpix2, vqa_rad

__all__ = ["TABLES", "main"]

_ARCHIVES = Path(__file__).resolve().parents[3] / "shared" / "data"
TABLES: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "medpix2": (medpix2.make_table, "location_category"),
    "covid_cxr": (covid_cxr.make_table, covid_cxr.TARGET),
    "vqa_rad": (vqa_rad.make_table, vqa_rad.TARGET),
}
"""What makes a table of an archive, and its target."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Fit every table; return 0, 1 if a file missed its gate, 2 if a table could not be fitted."""
    parser = argparse.ArgumentParser("python -m tests.real", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"which: {', '.join(TABLES)}; all by default")
    parser.add_argument("--archives", type=Path, default=_ARCHIVES, help="folder of the archives (%(default)s)")
    given = parser.parse_args(arguments)
    if unknown := set(given.tables) - set(TABLES):
        parser.error(f"unknown tables: {', '.join(sorted(unknown))}")
    console = Console()
    shown = Table(title="mmkeras fit on real tables", title_justify="left")
    for heading in ("table", "rows", "metric on the test split", "minutes", "files", "refused"):
        shown.add_column(heading, overflow="fold")
    refused = 0
    try:
        for name in given.tables or TABLES:
            row = _fit(name, given.archives)
            refused += len(row[-1])
            shown.add_row(*row[:-1], "; ".join(row[-1]))
    except MmkerasError as error:
        print_error(error)
        return 2
    console.print(shown)
    return 1 if refused else 0


def _fit(name: str, archives: Path) -> tuple[Any, ...]:
    """Fit a table in an empty folder; return its row, the last cell as the files that were refused."""
    make, target = TABLES[name]
    with tempfile.TemporaryDirectory() as temporary:
        table = make(archives / f"{name}.tar.xz", Path(temporary))
        began = time.monotonic()
        command = [sys.executable, "-m", "mmkeras", "fit", table.name, "--target", target, "--pretrained", "yes"]
        done = subprocess.run(command, cwd=table.parent, check=False)
        if done.returncode not in (0, 1):
            raise TrainingError(f"{name}: mmkeras fit ended with status {done.returncode}")
        minutes = (time.monotonic() - began) / 60
        metrics = json.loads((table.parent / "runs" / name / "latest" / "metrics.json").read_text("utf-8"))
        export = json.loads((table.parent / "saved_models" / name / "1" / "export.json").read_text("utf-8"))
    metric = metrics["task"]["metric"]
    found = metrics["test"][metric]
    figures = " to ".join(f"{found[end]:.3f}" for end in ("low", "high"))
    files = export["files"]
    refused = [f"{f['format']} {f['precision']}: {f['reason']}" for f in files if not f["accepted"]]
    verdict = f"{len(files) - len(refused)} of {len(files)} accepted"
    return (
        name,
        str(metrics["samples"]),
        f"{metric} {found['value']:.3f} ({figures})",
        f"{minutes:.1f}",
        verdict,
        refused,
    )


if __name__ == "__main__":
    sys.exit(main())
