"""The evaluation of a real Keras model on real pictures and questions."""

import dataclasses
import json
import sys
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig
from mmkeras.evaluation import Samples, evaluate
from mmkeras.evaluation.examples import cards
from mmkeras.evaluation.predict import Variant, predict
from mmkeras.model import build_model, modality_specs, task_spec
from mmkeras.tasks._evidence import rows_of
from tests.evaluation.problems import both_bits, left_bit, specs, two_signals
from tests.evaluation.problems import task as signal_task
from tests.tiny import tiny_model_config

pytestmark = pytest.mark.tfio

SAMPLES = 40


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, easy_vqa_images):
    folder = tmp_path_factory.mktemp("evaluate")
    config = tiny_model_config(folder)
    model, specs, task = build_model(config), modality_specs(config), task_spec(config)
    raw = tuple(
        {"image": easy_vqa_images[i], "text": None if i == 3 else "what is the color ?"} for i in range(SAMPLES)
    )
    rows = [
        {name: value for modality, spec in specs.items() for name, value in spec.inputs(values[modality]).items()}
        for values in raw
    ]
    inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    targets = (np.arange(SAMPLES) % 3).astype(np.int32)
    columns = {"side": np.where(np.arange(SAMPLES) % 2, "left", "right")}
    samples = Samples(inputs, targets, np.ones(SAMPLES, np.float32), columns=columns, raw=raw)
    out = folder / "run"
    metrics = evaluate(model, samples, specs, task, EvaluateConfig(batch_size=16, bootstrap=50), out)
    return model, specs, task, samples, metrics, out


def test_files_and_schema(evaluated):
    *_, metrics, out = evaluated
    schema = Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json"
    written = (out / "metrics.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(written), json.loads(schema.read_text(encoding="utf-8")))
    assert metrics["samples"] == SAMPLES
    pictures = {path.stem for path in (out / "pictures").iterdir()}
    assert pictures == {"ablation", "calibration", "confusion", "errors", "slices"}


def test_intervals_of_few_groups_are_called_rough(tmp_path):
    few = dataclasses.replace(two_signals(40), groups=np.repeat([0, 1, 2, 3], [25, 5, 5, 5]))
    many = dataclasses.replace(few, groups=np.arange(40))
    config = EvaluateConfig(batch_size=40, bootstrap=20, pictures=0)
    said = [
        evaluate(both_bits, samples, specs("left", "right"), signal_task(), config, tmp_path)["remarks"]
        for samples in (few, many)
    ]
    assert "in 4 groups that weigh as much as 2.3 equal ones" in " ".join(said[0])
    assert "equal ones" not in " ".join(said[1])


@pytest.mark.parametrize("names", [("left",), ("left", "right")])
def test_progress_ends_with_the_last_pass(tmp_path, monkeypatch, names):
    totals, batches = [], []

    def watch(progress, steps):
        totals.append(steps)
        return watched

    def watched(starts):
        for start in starts:
            batches.append(start)
            yield start

    monkeypatch.setattr(sys.modules["mmkeras.evaluation.evaluate"], "_watch", watch)
    config = EvaluateConfig(batch_size=16, bootstrap=20, pictures=0)
    evaluate(left_bit, two_signals(40), specs(*names), signal_task(), config, tmp_path)
    assert totals == [len(batches)]


def test_metrics_are_those_of_the_model(evaluated):
    model, _, task, samples, metrics, _ = evaluated
    outputs = model.predict(samples.inputs, verbose=0)
    expected = task.score(samples.targets, outputs)
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(expected["accuracy"])
    without = dict(samples.inputs)
    without["image_present"] = np.zeros(SAMPLES, np.float32)
    expected = task.score(samples.targets, model.predict(without, verbose=0))
    found = metrics["ablation"]["removed"]["image"]["metrics"]["cross_entropy"]["value"]
    assert found == pytest.approx(expected["cross_entropy"], rel=1e-5)


def test_a_small_last_batch_changes_nothing(evaluated):
    model, specs, _, samples, *_ = evaluated
    whole = predict(model, samples, specs, batch_size=SAMPLES)["probabilities"]
    parts = predict(model, samples, specs, batch_size=16, variant=Variant())["probabilities"]
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_samples_are_drawn_by_their_modalities(evaluated):
    model, specs, task, samples, *_ = evaluated
    outputs = predict(model, samples, specs, batch_size=16)
    evidence = task.evidence(samples.targets, outputs)
    drawn = cards(task, samples, specs, evidence, partial(rows_of, outputs), positions=[0, 3])
    assert drawn[0].images[0].shape == (64, 64, 3)
    assert drawn[0].captions == ("what is the color ?",)
    assert drawn[1].captions == ("(text missing)",)
    assert drawn[0].truth == task.labels[0]
    assert drawn[0].right == (outputs["probabilities"][0].argmax() == 0)
