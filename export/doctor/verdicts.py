"""Verdicts, findings and the examination of one target."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum

__all__ = ["Examination", "Finding", "Verdict", "reason"]

_SHOWN = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Keras puts this around the message of a layer.
_AROUND = re.compile(r"^(Exception encountered when calling|Arguments received by)")


class Verdict(str, Enum):
    """How a target handles an operation; all but the first are problems."""

    SUPPORTED = "supported"
    FLEX = "Flex"
    """LiteRT has no built-in operation, and current interpreters have no Flex delegate."""
    NO_FORM = "no ONNX form"
    PLUGIN = "plugin"
    """TensorRT's parser does not support the operator."""
    REFUSED = "refused"
    """The operator is known, but not in this form."""
    BREAKS = "breaks the conversion"
    INT64 = "int64 trouble"
    ISLAND = "float island"
    """Stays in float between quantised operations."""
    WIDE = "wide range"
    """Values so large that int8 cannot represent small ones beside them."""
    CAUTION = "caution"
    """Works in the versions that were tried, but is slow or not documented."""
    UNKNOWN = "not examined"


@dataclass(frozen=True)
class Finding:
    """One problem, in one layer or in several alike."""

    verdict: Verdict
    error: bool
    """Whether the export fails or its file cannot run; otherwise the file loses speed or accuracy."""
    layers: tuple[str, ...]
    """Paths of the Keras layers; empty where unknown."""
    operators: tuple[str, ...]
    """Operators of the target's file; empty where there is no file."""
    message: str
    cure: str
    """The rewrite that removes it."""
    versions: tuple[str, ...] = ()
    """Versions of the target that it holds for; empty for all."""


@dataclass
class Examination:
    """The findings of one target on a model."""

    target: str
    tried: tuple[str, ...]
    """Names and versions of the converters, parsers and operator lists used."""
    findings: list[Finding] = field(default_factory=list)
    """Errors first."""
    operators: dict[str, Counter[str]] = field(default_factory=dict)
    """Count of each operator of the file by the path of its Keras layer."""
    notes: list[str] = field(default_factory=list)
    """Checks that were not possible, and why."""

    @property
    def errors(self) -> int:
        """Number of findings that make the export fail."""
        return sum(finding.error for finding in self.findings)

    def add(self, finding: Finding) -> None:
        """Add a finding; layers with the same finding are joined in one."""
        for index, known in enumerate(self.findings):
            same = (known.verdict, known.error, known.message, known.cure, known.versions)
            if same == (finding.verdict, finding.error, finding.message, finding.cure, finding.versions):
                layers = tuple(dict.fromkeys((*known.layers, *finding.layers)))
                operators = tuple(dict.fromkeys((*known.operators, *finding.operators)))
                self.findings[index] = replace(known, layers=layers, operators=operators)
                return
        self.findings.append(finding)
        self.findings.sort(key=lambda each: not each.error)


def reason(text: str) -> str:
    """Return the one line of a message that names the error."""
    plain = _COLOURS.sub("", text).partition("Arguments received by")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    # MLIR writes the location, then "error:", then the message.
    errors = [line.rpartition("error:")[2].strip() for line in lines if "error:" in line]
    errors += [line for line in lines if not _AROUND.match(line)] or lines
    line = next((each for each in errors if each), "no reason given")
    return re.sub(r"\s+", " ", line)[:_SHOWN]
