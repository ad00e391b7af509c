"""Tasks of other kinds from a table to answers of the packed bundle: tags, two targets, an autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmkeras.bundle import Bundle
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from tests.toys import components
from tests.toys.chain import PICTURE, TEXT, Chain, run_chain
from tests.toys.tables import write_scenes

IMAGE, WORDS = f"[model.image]{PICTURE}", f"[model.text]{TEXT}"


@dataclass(frozen=True)
class Toy:
    """A toy task and what is asked of it."""

    task: str
    fusion: str
    modalities: str
    target: str | list[str]
    columns: dict[str, str]
    options: str = ""
    answer: str = ""


COLUMN = {"image": "picture"}
TOYS = (
    Toy(
        "tags",
        "cross_attention",
        IMAGE + WORDS + 'pooling = "words"\n',
        "tags",
        {**COLUMN, "text": "caption"},
        'scheme = "IO"',
        "entities",
    ),
    Toy(
        "segmentation",
        "none",
        IMAGE + "pyramid = true\nflip = true\n",
        "mask",
        COLUMN,
        'labels = ["ground", "red", "blue"]',
        "found",
    ),
    Toy("two_targets", "mean", IMAGE, ["colour", "x", "y"], COLUMN, 'kinds = ["red", "blue"]', "what"),
    Toy("autoencoder", "mean", IMAGE, "whole", COLUMN, answer="brightness"),
)


# Tags of a page's words go the same way in tests/tasks/tags/test_chain.py.
@pytest.fixture(
    scope="module",
    params=[pytest.param(toy, marks=pytest.mark.slow) if toy.task == "tags" else toy for toy in TOYS],
    ids=lambda toy: toy.task,
)
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Toy, Chain]]:
    own: Toy = request.param
    folder = tmp_path_factory.mktemp(own.task)
    fusion = 'options = { query = "text", heads = 2, layers = 1 }' if own.fusion == "cross_attention" else ""
    config = f"""
[model]
width = 16
[model.fusion]
name = "{own.fusion}"
{fusion}
[model.task]
name = "{own.task}"
options = {{ {own.options} }}
{own.modalities}
"""
    with components("tasks"):
        yield own, run_chain(folder, write_scenes(folder), own.columns, config, target=own.target)


def test_it_is_trained_evaluated_and_accepted_in_every_scenario(toy: tuple[Toy, Chain]) -> None:
    own, chain = toy
    task = Bundle.open(chain.bundle()).task
    assert chain.metrics["test"][task.metric]["value"] is not None
    assert chain.report.accepted
    assert {file.format for file in chain.report.files} == {"tflite", "onnx"}
    several = len(own.columns) > 1
    for file in chain.report.files:
        assert any(name.startswith("without") for name in file.scenarios) == several


def test_the_packed_bundle_proves_itself_and_answers(toy: tuple[Toy, Chain]) -> None:
    own, chain = toy
    with Bundle.open(chain.packed()) as bundle:
        assert selftest(bundle).passed
    values: dict[str, str | Path] = {"image": chain.folder / "3.png", "text": "a red square"}
    with Predictor(chain.packed()) as predictor:
        answer = predictor.predict(**{name: values[name] for name in own.columns})
    assert own.answer in answer
