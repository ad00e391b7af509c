"""Checks the calibration of a drive before training, because a wrong extrinsic looks like a bad model.

The check tests whether points lie in front of the camera and inside the picture, and whether the radar's angles agree
with the annotated boxes. The pose of the camera is applied to boxes and points alike, so a wrong rotation of the
*camera* shows only in the picture: look at it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.alignment import MARGIN, Alignment, Turn, best_turn, measure
from mmkeras.driving.drives.inspection_picture import inspection_picture
from mmkeras.driving.drives.open import open_drive
from mmkeras.driving.drives.snapshot import Snapshot
from mmkeras.media.image.pixels import read_size
from mmkeras.storage.files import write_bytes, write_text

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["Verdict", "check", "inspect"]

MOST = 300
"""Snapshots checked; of a longer drive, the first ones."""
SUSPICIOUS, WRONG = 1.0, 3.0
"""Degrees between points and boxes, beyond twice the uncertainty."""
SHOWN = 6

Grade = Literal["good", "suspicious", "wrong", "unproven"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """Result of the check."""

    grade: Grade
    """``unproven``: no error was found, but there are too few boxes to test the angles."""
    reasons: tuple[str, ...]
    numbers: dict[str, float | int | None]
    """Measured values; shares are 0 to 1, angles degrees, ``None`` where nothing could be measured."""
    turn: Turn | None = None

    @property
    def good(self) -> bool:
        """Whether the check found no error of the calibration."""
        return self.grade in ("good", "unproven")

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``inspection.json``."""
        return {"grade": self.grade, "good": self.good, "reasons": list(self.reasons), "numbers": self.numbers}


def check(snapshots: Iterable[Snapshot]) -> tuple[Verdict, list[Snapshot]]:
    """Measure snapshots and judge their calibration.

    Returns:
        The verdict, and the snapshots to draw: those with the most boxes, spread over the drive.
    """
    alignments: list[Alignment] = []
    kept: list[tuple[int, Snapshot]] = []
    for snapshot in snapshots:
        alignments.append(measure(snapshot, read_size(snapshot.path)))
        kept.append((len(alignments[-1].offsets), snapshot))
    if not alignments:
        raise DataError("expected at least one picture with radar points to inspect, got none")
    groups = np.array_split(np.arange(len(kept)), min(SHOWN, len(kept)))
    shown = [kept[max(group, key=lambda i: kept[i][0])][1] for group in groups]
    return _judge(alignments), shown


def inspect(folder: str | Path, out: str | Path, console: Console | None = None) -> Verdict:
    """Check a drive that `open_drive` can open, and write ``inspection.png`` and ``inspection.json`` into ``out``.

    Raises:
        DataError: no drive, or unusable files.
    """
    folder, out = Path(folder), Path(out)
    verdict, shown = check(itertools.islice(open_drive(folder), MOST))
    write_bytes(out / "inspection.png", inspection_picture(verdict.grade, verdict.reasons, verdict.turn, shown))
    record = {"folder": folder.name, **verdict.to_json()}
    write_text(out / "inspection.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    if console:
        _print(verdict, out, console)
    return verdict


def _judge(alignments: list[Alignment]) -> Verdict:
    points, ahead, field, picture = (
        sum(getattr(each, name) for each in alignments) for name in ("points", "ahead", "in_field", "in_picture")
    )
    turn = best_turn(alignments)
    boxes = sum(len(each.offsets) for each in alignments)
    numbers: dict[str, float | int | None] = {
        "snapshots": len(alignments),
        "points": points,
        "points_ahead": ahead / points if points else None,
        "points_in_picture": picture / field if field else None,
        "boxes": boxes,
        "boxes_hit": _hits(alignments, 0.0),
        "boxes_hit_at_best_yaw": _hits(alignments, turn.degrees) if turn else None,
        "best_yaw": turn.degrees if turn else None,
        "best_yaw_uncertainty": turn.uncertainty if turn else None,
    }
    wrong, suspicious = _projection(numbers)
    measured = turn if turn is not None and turn.uncertainty < 1.0 else None
    if measured:
        surely = abs(measured.degrees) - 2 * measured.uncertainty
        side = "left" if measured.degrees > 0 else "right"
        said = f"the radar's points lie {abs(measured.degrees):.1f} degrees to the {side} of the annotated boxes"
        if surely > WRONG:
            wrong.append(f"{said}: correct the radar's extrinsic by that yaw")
        elif surely > SUSPICIOUS:
            suspicious.append(f"{said}: check the radar's extrinsic")
    if wrong or suspicious:
        return Verdict("wrong" if wrong else "suspicious", (*wrong, *suspicious), numbers, turn)
    if not measured:
        reason = f"points fall into the picture; {boxes} boxes are too few to test angles"
        return Verdict("unproven", (reason,), numbers)
    agree = f"points and {boxes} boxes agree within {abs(measured.degrees) + 2 * measured.uncertainty:.1f} degrees"
    return Verdict("good", (agree,), numbers, turn)


def _projection(numbers: dict[str, float | int | None]) -> tuple[list[str], list[str]]:
    """Return the wrong and the suspicious findings about the positions of the points."""
    ahead, inside, hit = (numbers[name] for name in ("points_ahead", "points_in_picture", "boxes_hit"))
    wrong: list[str] = []
    suspicious: list[str] = []
    if ahead is None:
        wrong.append("no radar point between 3 and 60 m")
    elif ahead < 0.3:
        wrong.append(f"only {ahead:.0%} of the radar points are in front of the camera: are its axes right?")
    if inside is None and ahead is not None:
        wrong.append("no radar point is in the camera's field of view")
    elif inside is not None and inside < 0.8:
        said = f"of the points in the camera's field of view only {inside:.0%} fall into the picture"
        (wrong if inside < 0.4 else suspicious).append(f"{said}: check pitch, roll and height")
    if hit is not None and (numbers["boxes"] or 0) >= 10 and hit < 0.5:
        (wrong if hit < 0.25 else suspicious).append(f"only {hit:.0%} of the boxes have a radar point on them")
    return wrong, suspicious


def _hits(alignments: list[Alignment], yaw: float) -> float | None:
    found = [
        bool((np.abs(offset - yaw) <= half + MARGIN).any())
        for each in alignments
        for offset, half in zip(each.offsets, each.halves, strict=True)
    ]
    return float(np.mean(found)) if found else None


_ROWS = {
    "snapshots": "pictures",
    "points": "radar points, 3 to 60 m",
    "points_ahead": "in front of the camera",
    "points_in_picture": "in the picture, of those in its field of view",
    "boxes": "annotated boxes that radar sees",
    "boxes_hit": "boxes with a point on them",
    "boxes_hit_at_best_yaw": "the same at the best yaw",
    "best_yaw": "best yaw of the radar",
    "best_yaw_uncertainty": "its uncertainty",
}


def _print(verdict: Verdict, out: Path, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Calibration", title_justify="left", show_header=False)
    for name, words in _ROWS.items():
        value = verdict.numbers[name]
        if value is None:
            shown = "–"
        elif name.startswith("best"):
            shown = f"{value:+.1f}°" if name == "best_yaw" else f"±{value:.1f}°"
        else:
            shown = str(value) if isinstance(value, int) else f"{value:.0%}"
        table.add_row(words, shown)
    console.print(table)
    colour = {"good": "green", "unproven": "cyan", "suspicious": "yellow", "wrong": "red"}[verdict.grade]
    console.print(Text.assemble((verdict.grade, f"bold {colour}"), f": {'; '.join(verdict.reasons)}"))
    console.print(f"picture: {out / 'inspection.png'}", markup=False)
