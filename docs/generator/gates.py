"""The limits of verification as a table, from `export.verification.gates`."""

from __future__ import annotations

from export.formats.format import formats
from export.verification.gates import GATES, Gate
from tests.results.shown import markdown_table

__all__ = ["gates"]

_HEADINGS = (
    "precision",
    "largest difference",
    "noise",
    "changed decisions, all inputs",
    "other scenarios",
    "other scenarios with near ties",
    "loss of the task metric",
    "growth of the calibration error",
)


def gates() -> str:
    """Return a table of the limits by precision, for tasks whose decisions are counted."""
    tolerances = ", ".join(f"{name} {format.tolerance:g}" for name, format in formats().items())
    return markdown_table(_HEADINGS, (_row(name, gate, tolerances) for name, gate in GATES.items()))


def _row(name: str, gate: Gate, tolerances: str) -> tuple[str, ...]:
    return (
        name,
        tolerances if gate.exact else "",
        "" if gate.noise is None else f"{gate.noise:g}",
        *(_share(each) for each in (gate.flips, gate.flips_elsewhere, gate.flips_and_ties)),
        *(_points(each) for each in (gate.metric_drop, gate.calibration)),
    )


def _share(share: float | None) -> str:
    if share is None:
        return ""
    return f"{100 * share:g} %" if share else "none"


def _points(share: float | None) -> str:
    if share is None:
        return ""
    return "1 point" if share == 0.01 else f"{100 * share:g} points"
