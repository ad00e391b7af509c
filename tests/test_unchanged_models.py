"""Models keep their weights and their numbers: each tiny model is compared with what earlier code built.

``python -m tests.test_unchanged_models`` writes the file anew, after a change of a model that is meant.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.components import Choice, names
from mmkeras.core.config import ModelConfig
from mmkeras.model import build_model
from tests.tiny import (
    TinyMatching,
    TinySegmentation,
    inputs_of,
    tiny_documents_config,
    tiny_drive_config,
    tiny_drive_inputs,
    tiny_inputs,
    tiny_model_config,
    with_tiny_text,
)

KEPT = Path(__file__).with_name("unchanged_models.json")
FUSIONS = ("attention_pooling", "channels", "concat", "cross_attention", "gated", "max", "mean", "spatial_attention")
TASKS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["no", "red", "yes"], "dropout": 0.2},
    "embedding": {"size": 6},
    "multilabel": {"labels": ["no", "red", "yes"]},
    "regression": {"mean": [1.0], "std": [2.0]},
}
DRIVES: dict[str, dict[str, Any]] = {
    "spatial_attention": {},
    "spatial_attention, alone": {"fusion": {"alone": True, "dropout": 0.1}},
    "spatial_attention, learned grid": {"fusion": {"grid": [4, 8], "layers": 2}},
    "spatial_attention, camera": {"without": ("radar",)},
    "spatial_attention, alone, camera": {"without": ("radar",), "fusion": {"alone": True}},
    "channels": {"fusion_name": "channels", "form": "channels"},
}


def cases(folder: Path) -> Iterator[tuple[str, ModelConfig, dict[str, np.ndarray]]]:
    """Yield name, configuration and inputs of every tiny model."""
    for fusion in FUSIONS:
        for task, options in TASKS.items():
            if task == "classification" or fusion in ("concat", "cross_attention"):
                config = tiny_model_config(folder, fusion=fusion, task=Choice(task, dict(options)))
                yield f"{task}, {fusion}", config, tiny_inputs()
    for name, given in DRIVES.items():
        options = dict(given)
        form = options.pop("form", None)
        drive = tiny_drive_config(**options)
        if form:
            drive = dataclasses.replace(drive, radar=dataclasses.replace(drive.radar, form=form))
        inputs = tiny_drive_inputs(drive)
        yield f"detection, {name}", drive, {k: v for k, v in inputs.items() if not k.startswith(drive.without)}
    document = tiny_documents_config(folder)
    yield "tags, cross_attention", document, inputs_of(document)
    matching = with_tiny_text(TinyMatching(), folder, "none")
    yield "matching, none", matching, inputs_of(matching)
    segmentation = dataclasses.replace(TinySegmentation(), text=tiny_model_config(folder).text)
    yield "segmentation, spatial_attention", segmentation, inputs_of(segmentation)


def described(config: ModelConfig, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the number of weights and a hash of their names, and one number for each output.

    The outputs are those with everything there and with a modality missing from one sample.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    model = build_model(config)
    weights = "\n".join(f"{weight.path} {'x'.join(map(str, weight.shape))}" for weight in model.weights)
    result: dict[str, Any] = {"weights": [len(model.weights), hashlib.sha256(weights.encode()).hexdigest()]}
    first = next(name for name in inputs if name.endswith("_present"))
    gone = inputs | {first: np.array([0.0, *inputs[first][1:]], "float32")}
    for state, given in (("whole", inputs), ("missing", gone)):
        outputs = model(given, training=False)
        result[state] = {name: _number(keras.ops.convert_to_numpy(value)) for name, value in outputs.items()}
    return result


def _number(value: np.ndarray) -> float:
    """Return the values' mean with random weights: no value can change, and no two change places, without it."""
    return float(np.mean(value * np.random.default_rng(0).normal(size=value.shape)))


def _all(folder: Path) -> dict[str, Any]:
    return {name: described(config, inputs) for name, config, inputs in cases(folder)}


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(KEPT.read_text())
    return found


def test_every_task_has_a_kept_model(kept: dict[str, Any], tmp_path: Path) -> None:
    assert {name for name, _, _ in cases(tmp_path)} == set(kept)
    assert {name.split(",")[0] for name in kept} == set(names("tasks"))


def test_names_of_weights_and_outputs_are_the_kept_ones(kept: dict[str, Any], tmp_path: Path) -> None:
    for name, config, inputs in cases(tmp_path):
        found, expected = described(config, inputs), kept[name]
        assert found["weights"] == expected["weights"], name
        for state in ("whole", "missing"):
            assert found[state] == pytest.approx(expected[state], rel=1e-5, abs=1e-7), (name, state)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in _all(Path(scratch)).items()]
        KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
