"""The parts ``step`` and ``inference`` of the race: one network on two sides, parity first."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from tests.race.rounds import paired, ratio_of
from tests.race.sides import Side, peers_python

__all__ = ["ROUNDS", "check_parity", "race_inference", "race_steps"]

ROUNDS = 9
"""Paired rounds of a recorded number."""
PEER_STEPS = ("eager", "channels_last", "fused_adamw")
"""Ways of PyTorch's training step; fused_adamw is channels_last, too."""
PEER_ENGINES = ("compile", "torchscript", "eager")
_STEPS, _ANSWERS = 5, 200
"""Training steps and answers of each way in a round."""
_OUTPUTS, _LOSS, _GRADIENTS = 1e-5, 1e-5, 2e-2
"""Largest differences: of probabilities, of the loss, and of gradients relative to the largest of each variable.

Gradients pass ReLU6 corners and the small variances of batch normalization: rounding gives up to 3e-3 in the first
layers, 5e-6 elsewhere. A layer that is built differently gives more than 0.1.
"""


def race_steps(folder: Path, rounds: int, console: Console) -> dict[str, Any]:
    """Measure a training step of both sides.

    Raises:
        DependencyError: there is no environment of the peers.
        TrainingError: the networks differ, or a side failed.
    """
    with _sides(folder, console) as (ours, theirs, parity):
        ways = {name: functools.partial(ours.ask, "step", form=name, times=_STEPS) for name in ("fused", "keras")}
        ways |= {name: functools.partial(theirs.ask, "step", form=name, times=_STEPS) for name in PEER_STEPS}
        figures = paired(ways, rounds)
        memory = {"mmkeras": ours.ask("memory"), "torch": theirs.ask("memory")}
        versions = {"torch": theirs.ask("facts")["torch"]}
    found = ratio_of(figures, "fused", PEER_STEPS)
    without = ratio_of(figures, "keras", PEER_STEPS)
    return {
        "value": found.pop("ratio"),
        **found,
        "wall_ratio": ratio_of(figures, "fused", PEER_STEPS, "wall")["ratio"],
        "value_without_fused": without["ratio"],
        "gain": ratio_of(figures, "fused", ("keras",))["ratio"],
        "milliseconds": figures,
        "parity": parity,
        "peak_gigabytes": memory,
        "rounds": rounds,
        "versions": versions,
    }


def race_inference(folder: Path, rounds: int, console: Console) -> dict[str, Any]:
    """Measure the answer for one sample by exported files and by PyTorch's ways.

    Raises:
        DependencyError: there is no environment of the peers.
        TrainingError: the networks or an engine's outputs differ, or a side failed.
    """
    with _sides(folder, console) as (ours, theirs, parity):
        megabytes = ours.ask("export")
        outputs: dict[str, list[float]] = {}

        def once(side: Side, name: str) -> dict[str, float]:
            found = side.ask("infer", form=name, times=_ANSWERS)
            outputs[name] = found.pop("outputs")
            return dict(found)

        ways = {name: functools.partial(once, ours, name) for name in ("litert", "onnx")}
        figures = paired({**ways, **{name: functools.partial(once, theirs, name) for name in PEER_ENGINES}}, rounds)
        versions = {"torch": theirs.ask("facts")["torch"]}
    largest = max(float(np.abs(np.subtract(each, outputs["eager"])).max()) for each in outputs.values())
    if largest > _OUTPUTS:
        raise TrainingError(f"inference: outputs of the engines differ by {largest:.1e}, expected at most {_OUTPUTS}")
    found = ratio_of(figures, "litert", ("compile",))
    return {
        "value": found.pop("ratio"),
        **found,
        "wall_ratio": ratio_of(figures, "litert", ("compile",), "wall")["ratio"],
        "best_of_torch": ratio_of(figures, "litert", PEER_ENGINES),
        "milliseconds": figures,
        "megabytes": megabytes,
        "parity": {**parity, "engines": largest},
        "rounds": rounds,
        "versions": versions,
    }


@contextmanager
def _sides(folder: Path, console: Console) -> Iterator[tuple[Side, Side, dict[str, Any]]]:
    """Start both sides, and yield them with their parity."""
    python = peers_python("torch")
    with Side.ours(folder) as ours, console.status("mmkeras: network, weights and batch"):
        ours.ask("prepare")
        with Side(python, "tests.race.plain_torch", folder) as theirs:
            parity = check_parity(theirs.ask("parity"))
            console.print(
                f"the same network: outputs differ by {parity['outputs']:.1e}, the loss by {parity['loss']:.1e}, "
                f"gradients by {max(parity['gradients'].values()):.1e}",
                highlight=False,
            )
            yield ours, theirs, parity


def check_parity(parity: dict[str, Any]) -> dict[str, Any]:
    """Return the differences of the two networks.

    Raises:
        TrainingError: one is too large: the networks are not the same.
    """
    gradient, name = max((value, name) for name, value in parity["gradients"].items())
    for what, value, limit in (
        ("outputs", parity["outputs"], _OUTPUTS),
        ("loss", parity["loss"], _LOSS),
        (f"gradient of {name}", gradient, _GRADIENTS),
    ):
        if not value <= limit:  # also NaN
            raise TrainingError(
                f"the networks of Keras and PyTorch differ: {what} by {value:.1e}, expected at most {limit:g}. Adapt "
                "tests/race/network.py to pipelines/configs/vqa.toml"
            )
    return parity
