"""The section on static int8: its calibration samples, and the layers that stay in float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.card.text import mapping, plain, signed, table

__all__ = ["quantization"]

SHOWN = 8
"""Layers listed."""


def quantization(export: Mapping[str, Any]) -> str:
    """Return the section from the content of ``export.json``."""
    calibration = mapping(export, "calibration")
    if not calibration:
        return "No file of this bundle is static int8.\n"
    text = (
        f"Ranges were measured on {plain(calibration.get('samples'))} samples ({plain(calibration.get('source'))}), "
        f"fingerprint `{plain(str(calibration.get('fingerprint'))[:16])}`.\n"
    )
    warnings = calibration.get("warnings") or ()
    if warnings:
        text += "\n" + "".join(f"- {plain(warning)}\n" for warning in warnings)
    files = export.get("files")
    for file in files if isinstance(files, list) else ():
        costs = mapping(file, "branch_costs")
        if costs:
            text += "\n" + _file(str(file.get("format")), str(file.get("precision")), costs)
    return text


def _file(format: str, precision: str, costs: Mapping[str, Any]) -> str:
    kept = [entry for entry in costs.get("layers") or () if entry.get("kept")]
    small = plain(precision)
    text = (
        f"{plain(format)} {small}: {plain(costs.get('quantized'))} of {plain(costs.get('total'))} layers in {small}. "
    )
    if not kept:
        return text + "No layer stays in float.\n"
    rows = [(plain(branch), signed(-drop / 100), "") for branch, drop in mapping(costs, "branches").items()]
    rows += [(plain(entry["layer"]), signed(-entry["drop"] / 100), "stays in float") for entry in kept[:SHOWN]]
    return f"{text}Cost of each alone in {small}:\n\n" + table((f"in {small}", plain(costs.get("metric")), ""), rows)
