"""The options of a comparison, as the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.foreign.scenarios import CORRUPTIONS

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The options of the command; `export.foreign.command` says what each is."""

    data: Path
    root: Path | None = None
    map: Sequence[str] = ()
    input: Sequence[str] = ()
    file_input: Sequence[str] = ()
    reference_input: Sequence[str] = ()
    pair: Sequence[str] = ()
    ignore: Sequence[str] = ()
    decision: str = ""
    activation: Sequence[str] = ()
    background: str = ""
    target: Sequence[str] = ()
    task: str = ""
    labels: Path | None = None
    slices: Sequence[str] = ()
    group: str = ""
    missing: Sequence[str] = ()
    corruptions: Sequence[str] = tuple(CORRUPTIONS)
    rows: int = 1000
    max_bad_rows: float = 1.0
    precision: str = ""
    tolerance: float | None = None
    max_metric_drop: float | None = None
    max_flips: float | None = None
    max_latency_ratio: float | None = None
    latency: bool = True
