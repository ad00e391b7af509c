"""Tolerances of hand-made bundles."""

from __future__ import annotations

from collections.abc import Iterable


def everywhere(
    limit: float, outputs: Iterable[str] = ("probabilities",), scenarios: Iterable[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """Return one tolerance for every output in every scenario that tests use."""
    names = tuple(scenarios) or ("all", "without_image", "without_text", "empty_text", "longest_text")
    return {scenario: {output: [limit] for output in outputs} for scenario in names}
