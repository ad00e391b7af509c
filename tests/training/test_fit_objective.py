"""``fit`` with a loss hook, from the first batch to the message about a bad one."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import ops

from mmkeras.core.errors import TrainingError
from mmkeras.layers.keras_files import load_model
from mmkeras.tasks.classification import head
from tests.training.tiny_run import start

pytestmark = pytest.mark.tfio


def _hook(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
    """Cross-entropy of each sample, and how evenly the batch is answered."""
    del inputs
    found = outputs["probabilities"]
    crossed = keras.losses.sparse_categorical_crossentropy(targets["probabilities"], found)
    mean = ops.mean(context.gather(found), axis=0)
    return {"crossed": crossed, "even": ops.sum(mean * ops.log(mean + 1e-6))}


def _only_the_batch(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
    return {"all": ops.mean(_hook(outputs, targets, inputs, context)["crossed"])}


def test_a_hook_trains_a_run_whose_best_model_is_a_plain_one(tmp_path, monkeypatch):
    monkeypatch.setattr(head, "losses", lambda *_: _hook)
    tiny = start(tmp_path)
    fitted = tiny.fit(epochs=2)
    logs = fitted.history[-1]
    assert logs["loss"] == pytest.approx(logs["crossed_loss"] + logs["even_loss"], rel=1e-4)
    assert "val_even_loss" in logs
    assert "val_accuracy" in logs
    model = load_model(tiny.run.folder / "best.keras")
    assert list(model.output) == ["probabilities"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (_hook, "which also depends on the other samples of the batch:"),
        (_only_the_batch, "Samples by their contribution to the loss of the whole batch at the last checkpoint:"),
    ],
)
def test_the_samples_of_a_bad_batch_are_named_as_far_as_the_loss_has_them(tmp_path, monkeypatch, hook, said):
    monkeypatch.setattr(head, "losses", lambda *_: hook)
    tiny = start(tmp_path)
    tiny.fit(epochs=1)
    with pytest.raises(TrainingError, match=said):
        tiny.fit(epochs=1, learning_rate=1e38)
