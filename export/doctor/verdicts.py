"""What the doctor says: verdicts, findings and the examination of one target."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Examination", "Finding", "Verdict"]


class Verdict(str, Enum):
    """What a target makes of an operation; all but the first are trouble."""

    SUPPORTED = "supported"
    FLEX = "Flex"
    """LiteRT has no built-in operation, and current interpreters have no Flex delegate."""
    NO_FORM = "no ONNX form"
    PLUGIN = "plugin"
    """TensorRT's parser does not know the operator."""
    REFUSED = "refused"
    """The operator is known, but not in this form."""
    BREAKS = "breaks the conversion"
    INT64 = "int64 trouble"
    ISLAND = "float island"
    """Stays in float between quantised operations."""
    WIDE = "wide range"
    """Numbers so large that int8 keeps nothing beside them."""
    CAUTION = "caution"
    """Works where tried, but is slow or not promised."""
    UNKNOWN = "not examined"


@dataclass(frozen=True)
class Finding:
    """One trouble, in one layer or in several alike."""

    verdict: Verdict
    """What it is."""
    error: bool
    """Whether the export fails or its file cannot run; else the file works and loses speed or accuracy."""
    layers: tuple[str, ...]
    """Paths of the Keras layers; empty where none could be told."""
    operators: tuple[str, ...]
    """Operators of the target's file; empty where there is no file."""
    message: str
    """What was found."""
    cure: str
    """The rewrite that cures it."""
    versions: tuple[str, ...] = ()
    """Versions of the target that it holds for; empty for all."""


@dataclass
class Examination:
    """What one target makes of a model."""

    target: str
    """``tflite``, ``onnx`` or ``tensorrt``."""
    tried: tuple[str, ...]
    """What was asked: names and versions of converters, parsers and operator lists."""
    findings: list[Finding] = field(default_factory=list)
    """Troubles, errors first."""
    operators: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each operator of the file stands for each Keras layer, by the layer's path."""
    notes: list[str] = field(default_factory=list)
    """What could not be tried, and why."""

    @property
    def errors(self) -> int:
        """Number of findings that make the export fail."""
        return sum(finding.error for finding in self.findings)

    def add(self, finding: Finding) -> None:
        """Add a finding; one that says the same of other layers is joined with it."""
        for index, known in enumerate(self.findings):
            same = (known.verdict, known.error, known.message, known.cure, known.versions)
            if same == (finding.verdict, finding.error, finding.message, finding.cure, finding.versions):
                layers = tuple(dict.fromkeys((*known.layers, *finding.layers)))
                operators = tuple(dict.fromkeys((*known.operators, *finding.operators)))
                self.findings[index] = Finding(
                    known.verdict, known.error, layers, operators, known.message, known.cure, known.versions
                )
                return
        self.findings.append(finding)
        self.findings.sort(key=lambda each: not each.error)
