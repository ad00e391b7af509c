"""The shares of raw values that a model does not receive: measured before training and at export, with warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmkeras.modalities import ModalitySpec

__all__ = ["LARGEST_SHARES", "coverage", "warnings"]

LARGEST_SHARES = {"unknown": 0.05, "cut": 0.05}
"""Larger shares cause a warning."""
_ADVICE = {
    "unknown": "of the tokens are unknown to the vocabulary; train it on similar texts, raise vocabulary_size, or "
    "check the language of a given vocabulary",
    "cut": "of the tokens are beyond max_length and are cut off; raise it",
}


def coverage(specs: Mapping[str, ModalitySpec], samples: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the shares that modalities measure, for example ``{"text": {"unknown": 0.01, "cut": 0.2}}``."""
    measured = {name: spec for name, spec in specs.items() if spec.coverage(())}
    if not measured:  # no sample needs to be read
        return {}
    values = [{name: sample.get(name) for name in measured} for sample in samples]
    return {name: dict(spec.coverage(each[name] for each in values)) for name, spec in measured.items()}


def warnings(found: Mapping[str, Mapping[str, float]], where: str) -> list[str]:
    """Return a warning for each share of `coverage` above its limit; ``where`` is for example ``the split train``."""
    return [
        f"{name}: in {where}, {share:.1%} {_ADVICE[kind]}."
        for name, shares in found.items()
        for kind, share in shares.items()
        if share > LARGEST_SHARES[kind]
    ]
