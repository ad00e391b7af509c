"""Supervised training asks the task's head and the fusion for everything."""

from __future__ import annotations

import pytest

from mmkeras.core.components import find, names
from mmkeras.core.config import RunConfig
from mmkeras.model import modality_specs, task_spec
from mmkeras.training.methods._contract import StageContext, TrainingMethod
from mmkeras.training.methods.supervised import Method
from tests.tiny import tiny_model_config


@pytest.mark.parametrize("name", names("training.methods"))
def test_every_method_is_one_class_with_its_options(name):
    method = find("training.methods", name).Method()
    assert isinstance(method, TrainingMethod)
    assert method == type(method)()


def test_the_losses_and_the_metric_are_those_of_the_task(tmp_path):
    model = tiny_model_config(tmp_path)
    config = RunConfig(model=model)
    context = StageContext(config, modality_specs(model), task_spec(model), {"yes": 3, "no": 1, "red": 2})
    method = Method()
    losses = method.losses(context)
    assert not callable(losses)
    assert list(losses) == ["probabilities"]
    assert method.monitor(context) == ("val_accuracy", 1)
    assert method.batch({"a": 1}, {"b": 2}, 3, context, None) == ({"a": 1}, {"b": 2}, 3)
