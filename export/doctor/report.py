"""The doctor's report: one table per target, grouped by branch, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export.doctor.verdicts import Examination, Finding, Verdict
from mmkeras.runtime.differences.contents import part_of
from mmkeras.runtime.grid import Cell, Grid

if TYPE_CHECKING:
    import keras

__all__ = ["OTHER", "Report", "parts"]

_SHOWN = 3
_NOWHERE = "(layer unknown)"
_INT8 = (Verdict.ISLAND, Verdict.WIDE)
OTHER = "model"
"""The part of layers in a model whose names do not show it."""
_UNKNOWN = part_of("")
_LATE = ("head", "fusion")


@dataclass(frozen=True)
class Report:
    """The examination of one model for all targets."""

    name: str
    """The name that the user gave."""
    trained: bool
    notes: tuple[str, ...]
    """What was substituted for unknown parts."""
    layers: Mapping[str, str]
    """Classes of the layers by path, in the order in which they are called."""
    parts: Mapping[str, str]
    """Parts of the model by the first name of a path."""
    examinations: tuple[Examination, ...]
    seconds: float

    @property
    def errors(self) -> int:
        """Number of findings that make an export fail."""
        return sum(each.errors for each in self.examinations)

    @property
    def warnings(self) -> int:
        """Number of findings that cost speed or accuracy."""
        return sum(len(each.findings) for each in self.examinations) - self.errors

    def tables(self, *, verbose: bool = False) -> list[Grid]:
        """Return one table per target: its findings, and a row for the other layers of each part, or for each layer."""
        return [self._table(each, verbose) for each in self.examinations]

    def to_json(self) -> dict[str, Any]:
        """Return the content of doctor.json (mmkeras/schemas/doctor.schema.json)."""
        return {
            "schema_version": 1,
            "model": self.name,
            "trained": self.trained,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 1),
            "errors": self.errors,
            "warnings": self.warnings,
            "targets": [self._target(each) for each in self.examinations],
        }

    def _target(self, examination: Examination) -> dict[str, Any]:
        verdicts = _verdicts(examination)
        return {
            "target": examination.target,
            "tried": list(examination.tried),
            "notes": list(examination.notes),
            "errors": examination.errors,
            "findings": [
                {
                    "verdict": finding.verdict.value,
                    "severity": "error" if finding.error else "warning",
                    "layers": list(finding.layers),
                    "parts": list(dict.fromkeys(map(self.part, finding.layers))),
                    "operators": list(finding.operators),
                    "versions": list(finding.versions),
                    "message": finding.message,
                    "cure": finding.cure,
                }
                for finding in examination.findings
            ],
            "layers": [
                {
                    "layer": path,
                    "kind": kind,
                    "part": self.part(path),
                    "operators": [
                        {
                            "operator": operator,
                            "count": count,
                            "verdicts": [v.value for v in verdicts.get((path, operator), (Verdict.SUPPORTED,))],
                        }
                        for operator, count in sorted(examination.operators.get(path, Counter()).items())
                    ],
                }
                for path, kind in self._every(examination).items()
            ],
        }

    def summary(self) -> list[str]:
        """Return the lines below the tables: notes and the verdict."""
        lines = [f"{each.target}: checked with {', '.join(each.tried)}" for each in self.examinations]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"note: {each.target}: {note}" for each in self.examinations for note in each.notes]
        clean = [each.target for each in self.examinations if not each.errors]
        refused = [each.target for each in self.examinations if each.errors]
        verdict = f"not supported by {', '.join(refused)}" if refused else f"supported by {', '.join(clean)}"
        counts = f"{_count(self.errors, 'error')}, {_count(self.warnings, 'warning')}"
        lines.append(f"{self.name}: {verdict}: {counts}, in {self.seconds:.0f} s")
        if any(finding.verdict in _INT8 for each in self.examinations for finding in each.findings):
            lines.append("Float islands and wide ranges matter for int8 alone.")
        return lines

    def part(self, path: str) -> str:
        """Return the part of the model that a layer belongs to."""
        return self.parts.get(path.split("/")[0], OTHER)

    def _every(self, examination: Examination) -> dict[str, str]:
        """Return the layers, including those that only this target's operations or findings name."""
        named = [*examination.operators, *(path for each in examination.findings for path in each.layers)]
        return {**self.layers, **{path: "" for path in named if path and path not in self.layers}}

    def _table(self, examination: Examination, verbose: bool) -> Grid:
        warnings = len(examination.findings) - examination.errors
        state = f"{_count(examination.errors, 'error')}, {_count(warnings, 'warning')}"
        title = f"{examination.target}: {state if examination.findings else 'clean'}"
        grid = Grid(title, ("part", "Keras layer", "operations", "verdict", "what", "rewrite"))
        every = self._every(examination)
        troubled = {path for finding in examination.findings for path in finding.layers}
        named = set(map(self.part, troubled))
        for finding in examination.findings:
            if not finding.layers:
                grid.add(*self._row("", (), finding, verbose))
        for part in dict.fromkeys(map(self.part, every)):
            for finding in examination.findings:
                here = tuple(path for path in finding.layers if self.part(path) == part)
                if here:
                    grid.add(*self._row(part, here, finding, verbose))
            rest = [path for path in every if self.part(path) == part and path not in troubled]
            if verbose:
                for path in rest:
                    made = examination.operators.get(path, Counter())
                    operators = _operators(made) or "(none of its own)"
                    verdict = Verdict.SUPPORTED.value if made else ""
                    grid.add(part, path, operators, Cell(verdict, "green"), every[path], "")
            elif rest and examination.operators:
                made = sum((examination.operators.get(path, Counter()) for path in rest), Counter())
                others = _count(len(rest), "other layer" if part in named else "layer")
                count = _count(made.total(), "operation")
                grid.add(part, others, count, Cell(Verdict.SUPPORTED.value, "green"), "", "")
        return grid

    def _row(self, part: str, layers: tuple[str, ...], finding: Finding, verbose: bool) -> Sequence[str | Cell]:
        shown = layers if verbose else layers[:_SHOWN]
        more = len(layers) - len(shown)
        where = "\n".join(shown) + (f"\nand {more} more" if more else "")
        style = "bold red" if finding.error else "yellow"
        versions = f" ({', '.join(finding.versions)})" if finding.versions else ""
        verdict = Cell(f"{finding.verdict.value}{versions}", style)
        return (part, where or _NOWHERE, ", ".join(finding.operators), verdict, finding.message, finding.cure)


def _verdicts(examination: Examination) -> dict[tuple[str, str], tuple[Verdict, ...]]:
    found: dict[tuple[str, str], dict[Verdict, None]] = {}
    for finding in examination.findings:
        for path in finding.layers:
            for operator in finding.operators:
                found.setdefault((path, operator), {})[finding.verdict] = None
    return {key: tuple(value) for key, value in found.items()}


def _operators(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in sorted(counted.items()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def parts(model: keras.Model) -> dict[str, str]:
    """Return the part of every layer and operation directly in a model, in the order of the graph.

    The name shows the part. A layer without such a name belongs to the part of its inputs, or to the fusion if these
    are of several modalities.
    """
    by_depth = model._nodes_by_depth
    nodes: list[Any] = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    named = {node.operation.name: part_of(f"{node.operation.name}/") for node in nodes}
    modalities = sorted(set(named.values()) - {_UNKNOWN, *_LATE}, key=len, reverse=True)
    found: dict[str, str] = {}
    for node in nodes:
        name = node.operation.name
        if named[name] != _UNKNOWN:
            found[name] = named[name]
        elif node.is_input:
            found[name] = next((m for m in modalities if name == m or name.startswith(f"{m}_")), _UNKNOWN)
        else:
            found[name] = _joined({found[tensor._keras_history.operation.name] for tensor in node.input_tensors})
    return {name: OTHER if part == _UNKNOWN else part for name, part in found.items()}


def _joined(sources: set[str]) -> str:
    for part in _LATE:
        if part in sources:
            return part
    known = sources - {_UNKNOWN}
    if len(known) > 1:
        return _LATE[1]
    return known.pop() if known else _UNKNOWN
