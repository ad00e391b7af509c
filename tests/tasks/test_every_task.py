"""What holds for every task; a new room in mmkeras/tasks needs one `Example` in helpers.py."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.components import check_options, find, names
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.tasks import TaskSpec, task_from_json
from mmkeras.tasks._evidence import joined, rows_of
from mmkeras.tasks._metrics import weighted_sums
from mmkeras.training.host_score import HostScore
from tests.tasks.helpers import EXAMPLES, batch, call, head_model, task, with_loss

pytestmark = pytest.mark.tfio


@pytest.fixture(params=names("tasks"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spec(name: str) -> TaskSpec:
    result: TaskSpec = task(name)[0]
    return result


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_every_task_has_an_example():
    assert set(EXAMPLES) == set(names("tasks"))


def test_spec_survives_json(spec: TaskSpec):
    assert task_from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_spec_needs_neither_tensorflow_nor_keras(name: str):
    code = f"import sys, mmkeras.tasks.{name}.spec; print({{'tensorflow', 'keras', 'sklearn'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_options_are_described_and_checked(name: str):
    config = find("tasks", name, "spec").Config
    check_options(config, EXAMPLES[name].options, "model.task.options")
    check_options(config, dataclasses.asdict(task(name)[1]), "model.task.options")
    with pytest.raises(ConfigError, match=r"model\.task\.options\.dropuot: unknown option; did you mean 'dropout'"):
        check_options(config, {"dropuot": 0.1}, "model.task.options")


def test_options_that_do_not_fit(name: str):
    for options in EXAMPLES[name].bad_options:
        with pytest.raises(ConfigError, match=next(iter(options))):
            task(name, **options)


def test_targets_are_encoded_as_the_spec_says(name: str, spec: TaskSpec):
    for target in EXAMPLES[name].targets:
        encoded = np.asarray(spec.encode(target))
        assert (encoded.shape, encoded.dtype) == (spec.target.shape, np.dtype(spec.target.dtype))


def test_targets_that_do_not_fit(name: str, spec: TaskSpec):
    for target in EXAMPLES[name].bad_targets:
        with pytest.raises(DataError, match=r"Expected|No label"):
            spec.encode(target)


def test_outputs_are_what_the_spec_says(name: str, spec: TaskSpec):
    outputs = call(head_model(name), batch(name)[0])
    assert list(outputs) == [tensor.name for tensor in spec.outputs]
    for tensor in spec.outputs:
        assert (outputs[tensor.name].shape[1:], outputs[tensor.name].dtype) == (tensor.shape, np.dtype(tensor.dtype))


def test_answers_are_json_even_for_nan(name: str, spec: TaskSpec):
    outputs = call(head_model(name), batch(name)[0])
    for value in outputs.values():
        value[0, 0], value[1] = np.nan, np.inf
    answers = spec.decode(outputs)
    assert len(answers) == len(EXAMPLES[name].targets)
    json.dumps(answers, allow_nan=False)


def test_a_model_agrees_with_itself_unless_it_is_not_finite(name: str, spec: TaskSpec):
    outputs = call(head_model(name), batch(name)[0])
    assert not spec.flips(outputs, outputs).any()
    for bad in (np.nan, np.inf, -np.inf):
        broken = {key: value.copy() for key, value in outputs.items()}
        for value in broken.values():
            value[1, 0] = bad
        expected = np.arange(len(EXAMPLES[name].targets)) == 1
        for first, second in ((outputs, broken), (broken, outputs), (broken, broken)):
            np.testing.assert_array_equal(spec.flips(first, second), expected)


def test_the_primary_metric_is_scored(name: str, spec: TaskSpec):
    inputs, targets = batch(name)
    score = spec.score(next(iter(targets.values())), call(head_model(name), inputs))
    assert np.isfinite(score[spec.metric])
    assert all(isinstance(value, float) for value in score.values())
    assert {key for key, value in score.items() if np.isnan(value)} <= set(EXAMPLES[name].unknown)


def test_a_weight_counts_like_that_many_samples(name: str, spec: TaskSpec):
    inputs, targets = batch(name)
    outputs, target = call(head_model(name), inputs), next(iter(targets.values()))
    times = np.array([1, 2, 3, 0])
    repeated = spec.score(
        np.repeat(target, times, axis=0), {k: np.repeat(v, times, axis=0) for k, v in outputs.items()}
    )
    assert spec.score(target, outputs, times) == pytest.approx(repeated, nan_ok=bool(EXAMPLES[name].unknown))


def test_a_score_needs_samples_and_fitting_weights(name: str, spec: TaskSpec):
    inputs, targets = batch(name)
    outputs, target = call(head_model(name), inputs), next(iter(targets.values()))
    with pytest.raises(DataError, match="at least one sample"):
        spec.score(target[:0], {k: v[:0] for k, v in outputs.items()})
    for weights in (np.ones(3), np.zeros(4)):
        with pytest.raises(DataError, match="Expected 4 weights"):
            spec.score(target, outputs, weights)


def test_rows_of_batches_give_what_the_whole_gives(name: str, spec: TaskSpec):
    inputs, targets = batch(name)
    outputs, target = call(head_model(name), inputs), next(iter(targets.values()))
    weights = np.array([1.0, 2.0, 3.0, 0.5])
    whole = spec.evidence(target, outputs)
    rows = np.array([2, 0])
    parts = [
        spec.evidence(target[at], {k: v[at] for k, v in outputs.items()})
        for at in (slice(0, 1), slice(1, 1), slice(1, 4))
    ]
    for key, value in joined(parts).items():
        np.testing.assert_array_equal(value, whole[key])
    assert spec.finish(joined(parts), weights) == pytest.approx(spec.score(target, outputs, weights), nan_ok=True)
    picked = spec.score(target[rows], {k: v[rows] for k, v in outputs.items()})
    assert spec.finish(rows_of(whole, rows)) == pytest.approx(picked, nan_ok=True)


def test_weightings_at_once_give_what_each_gives(name: str, spec: TaskSpec):
    inputs, targets = batch(name)
    evidence = spec.evidence(next(iter(targets.values())), call(head_model(name), inputs))
    weights = np.array([[1.0, 2.0, 3.0, 0.5], [1, 1, 1, 1], [3, 0, 1, 0]])
    sums = {key: weighted_sums(weights, value) for key, value in spec.sums(evidence).items()}
    found = spec.of_sums(sums) | spec.of_rows(evidence, weights)
    # Resamples of a ranking keep what is searched, and `finish` leaves samples of weight 0 out of it.
    for row, each in enumerate(weights[:2] if spec.ranks_samples else weights):
        expected = spec.finish(evidence, each)
        assert {key: value[row] for key, value in found.items()} == pytest.approx(expected, nan_ok=True)


def test_validation_of_training_logs_the_score(name: str, spec: TaskSpec):
    model = head_model(name)
    inputs, targets = batch(name)
    weights = np.array([1.0, 2.0, 3.0, 0.5])
    scored = spec.score(next(iter(targets.values())), call(model, inputs), weights)
    callback = HostScore(tf.data.Dataset.from_tensor_slices((inputs, targets, weights)).batch(3), spec)
    callback.set_model(model)
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    assert logs == pytest.approx({f"val_{key}": v for key, v in scored.items() if np.isfinite(v)}, rel=1e-5)


def _with_options() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every task with those of the options that change a loss and that it has."""
    for name in names("tasks"):
        known = {field.name for field in dataclasses.fields(find("tasks", name, "spec").Config)}
        yield name, {}
        for options in ({"class_weights": "balanced", "focal_gamma": 2.0}, {"label_smoothing": 0.1}):
            if fitting := {key: value for key, value in options.items() if key in known}:
                yield name, fitting


@pytest.mark.parametrize(("name", "options"), list(_with_options()))
def test_a_compiled_model_is_saved_with_its_loss(name: str, options: dict[str, Any], tmp_path: Path):
    model = head_model(name, **options)
    inputs, targets = batch(name)
    model.fit(inputs, targets, verbose=0)
    model.save(tmp_path / "model.keras")
    reloaded = with_loss(keras.models.load_model(tmp_path / "model.keras"), name, **options)
    assert reloaded.evaluate(inputs, targets, verbose=0) == model.evaluate(inputs, targets, verbose=0)
    for key, value in call(model, inputs).items():
        np.testing.assert_array_equal(call(reloaded, inputs)[key], value)


def test_training_lowers_the_loss(name: str):
    keras.utils.set_random_seed(0)
    model = head_model(name, dropout=0.0)
    inputs, targets = batch(name)
    losses = model.fit(inputs, targets, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_outputs_stay_float32_in_mixed_precision(name: str, bfloat16: None):
    model = head_model(name)
    inputs, targets = batch(name)
    assert all(value.dtype == "float32" for value in model.output.values())
    assert np.isfinite(model.fit(inputs, targets, verbose=0).history["loss"]).all()
