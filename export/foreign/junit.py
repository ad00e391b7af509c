"""Writes the checks as JUnit XML, which CI systems show test by test."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from export.foreign.report import Report
from mmkeras.core.terminal import plain
from mmkeras.storage.files import write_bytes

__all__ = ["junit", "write_junit"]

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, seconds: float) -> bytes:
    """Return one ``testcase`` for each check; a failed one has a ``failure`` with its problems and the findings."""
    failed = [check for check in report.checks if check.problems]
    name = _text(f"{report.sides['file']['path']} against {report.sides['reference']['path']}")
    counts = {"tests": str(len(report.checks)), "failures": str(len(failed)), "errors": "0", "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"mmkeras verify {name}", "skipped": "0", **counts})
    findings = "\n".join(finding.text for finding in report.findings)
    for check in report.checks:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "mmkeras.verify", "name": _text(check.name), "time": "0"}
        )
        if check.problems:
            message = _text("; ".join(check.problems))
            failure = ElementTree.SubElement(case, "failure", {"message": message[:500], "type": "verification"})
            failure.text = _text("\n".join([*check.problems, *([findings] if findings else [])]))
    out = ElementTree.SubElement(suite, "system-out")
    out.text = _text("\n".join([*report.assumed, *report.warnings]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def write_junit(path: Path, report: Report, seconds: float) -> None:
    """Write the XML."""
    write_bytes(path, junit(report, seconds))


def _text(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _NOT_XML.sub("?", plain(text))
