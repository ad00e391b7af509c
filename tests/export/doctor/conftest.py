"""One converter process for all tests of the doctor, and models with one trouble each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from export.doctor.converter import Converter
from export.doctor.examine import TARGETS, examine_model
from export.doctor.verdicts import Examination, Finding, Verdict

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class Apply(keras.layers.Layer):
    """A layer that applies a function of one or more tensors."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, *tensors: Any) -> Any:
        return self.function(*tensors)


Examine = Callable[..., dict[str, Examination]]


@pytest.fixture(scope="session")
def converter() -> Iterator[Converter]:
    with Converter() as running:
        yield running


@pytest.fixture
def examine(converter: Converter, tmp_path: Path) -> Examine:
    """Examine a model in memory and return the examinations by target."""

    def by_target(model: keras.Model, *targets: str) -> dict[str, Examination]:
        found, _, _ = examine_model(model, converter, tmp_path, targets=targets or TARGETS)
        return {each.target: each for each in found}

    return by_target


def told(examination: Examination, verdict: Verdict) -> list[Finding]:
    return [finding for finding in examination.findings if finding.verdict == verdict]


def only(examination: Examination, verdict: Verdict) -> Finding:
    found = told(examination, verdict)
    assert len(found) == 1, examination.findings
    return found[0]
