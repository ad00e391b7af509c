"""The result of a comparison, and its JSON: ``mmkeras/schemas/verify.schema.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from export.foreign.decisions import Decisions
from export.foreign.feeds import SIDES
from export.foreign.finding import Finding
from export.foreign.latency import Latency
from export.foreign.limits import Limits, precision_of
from export.foreign.measure import Measured
from export.foreign.model import Model
from export.foreign.outputs import Outputs
from export.foreign.rows import Rows
from export.foreign.shares import share_interval
from export.verification.results import finite
from mmkeras.data.quarantine import BadRow, reasons

__all__ = ["Check", "Report"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Check:
    """One check of the verdict."""

    name: str
    """``rows``, ``outputs``, ``outputs change``, ``inputs are read``, ``latency`` or a scenario."""
    problems: tuple[str, ...] = ()
    """Why it failed; empty if it passed."""


@dataclass
class Report:
    """The result of a comparison."""

    sides: dict[str, dict[str, Any]]
    """Path, format, precision, bytes, inputs and notes of both files."""
    inputs: list[dict[str, Any]]
    """How inputs were matched and what they are given."""
    rows: int
    in_table: int
    bad: list[BadRow]
    checks: list[Check] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outputs: Outputs | None = None
    decisions: Decisions | None = None
    limits: Limits | None = None
    latency: Latency | None = None

    @classmethod
    def begun(cls, models: Mapping[str, Model], rows: Rows) -> Report:
        """Return a report of both files and the inputs, without results."""
        feeds = rows.feeds
        columns = {feed.name: list(feed.columns) for feed in feeds.feeds}
        inputs = [
            {
                "file": pair.file,
                "reference": pair.reference,
                "matched_by": pair.how,
                "columns": columns.get(pair.file, []),
                **{f"{side}_given": feeds.said.get(f"{side}: {getattr(pair, side)}", ("", ""))[0] for side in SIDES},
                **{f"{side}_inferred": feeds.said.get(f"{side}: {getattr(pair, side)}", ("", ""))[1] for side in SIDES},
            }
            for pair in feeds.pairs
        ]
        return cls(
            {side: _side(model) for side, model in models.items()},
            inputs,
            len(rows.good),
            len(rows.table.rows),
            rows.bad,
        )

    def warn(self, text: str) -> None:
        """Add a warning; an empty text is none."""
        if text:
            self.warnings.append(text)

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and not any(check.problems for check in self.checks) and bool(self.measured)

    @property
    def assumed(self) -> list[str]:
        """What was assumed of the inputs, because nobody declared it and the file does not say it."""
        names = {"file": "FILE", "reference": "the reference"}
        return [
            f"input {entry[side]} of {names[side]}: {entry[f'{side}_inferred']}"
            for entry in self.inputs
            for side in SIDES
            if "ASSUMED" in entry[f"{side}_inferred"]
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the content of the report; numbers that are not finite become null."""
        outputs, decisions, limits = self.outputs, self.decisions, self.limits
        return {
            "schema_version": SCHEMA_VERSION,
            "accepted": self.accepted,
            **self.sides,
            "rows": {
                "compared": self.rows,
                "in_table": self.in_table,
                "bad": [{"place": row.origin, "reason": row.reason} for row in self.bad],
                "bad_by_reason": reasons(self.bad),
            },
            "inputs": self.inputs,
            "outputs": {
                "pairs": [asdict(pair) for pair in (outputs.pairs if outputs else [])],
                "decision": outputs.decision.file if outputs and outputs.decision else None,
                "notes": outputs.said if outputs else [],
            },
            "task": None if decisions is None else self._task(decisions),
            "limits": None
            if limits is None
            else {"precision": limits.precision, "tolerance": limits.tolerance, **finite(asdict(limits.gate))},
            "checks": [{"name": check.name, "problems": list(check.problems)} for check in self.checks],
            "scenarios": {name: self._scenario(found) for name, found in self.measured.items()},
            "findings": [
                finite({k: getattr(each, k) for k in ("text", "side", "agrees", "before", "after", "declare")})
                for each in self.findings
            ],
            "warnings": self.warnings,
            "latency": None if self.latency is None else asdict(self.latency),
        }

    def _task(self, decisions: Decisions) -> dict[str, Any]:
        known = decisions.targets is not None
        return {
            "kind": decisions.kind,
            "metric": decisions.task.metric if known else None,
            "higher_is_better": decisions.task.metric_sign > 0,
            "notes": decisions.said,
        }

    def _scenario(self, found: Measured) -> dict[str, Any]:
        result = found.result
        counted = self.decisions is not None and self.decisions.kind != "numbers" and not result.not_finite
        low, high = share_interval(result.flips, result.samples)
        intervals = {name: interval.to_json() for name, interval in found.intervals.items()}
        whole = result.to_json()
        whole.pop("worst_slice", None)
        entry = {
            **whole,
            "flips": result.flips if counted else None,
            "flips_low": low if counted else None,
            "flips_high": high if counted else None,
            "reference_metric": found.reference_metric,
            "intervals": intervals,
            "not_finite_by_side": found.not_finite,
            "slices": [finite(asdict(part)) for part in found.slices],
        }
        return finite(entry)


def _side(model: Model) -> dict[str, Any]:
    return {
        "path": str(model.path),
        "format": model.format,
        "precision": precision_of(model),
        "bytes": model.bytes,
        "batch": model.batch,
        "inputs": [str(tensor) for tensor in model.inputs],
        "notes": model.notes,
    }
