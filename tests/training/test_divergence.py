"""A loss that is no number: training ends there, and the samples of the batch are named."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from mmkeras.core.errors import TrainingError
from mmkeras.model import build_model
from mmkeras.storage.privacy import redacting
from mmkeras.training.checkpoints import Checkpoints, Diverged
from mmkeras.training.cluster.connect import ALONE
from mmkeras.training.divergence import FiniteLoss, _losses, explain, save_batch
from mmkeras.training.objective import Objective
from tests.training.tiny_run import start
from tests.training.toys import contrastive, uniformity

pytestmark = pytest.mark.tfio


def test_training_ends_with_the_step_that_did_it(tmp_path):
    inputs = np.ones((64, 3), "float32")
    inputs[37] = np.nan
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    checkpoints = Checkpoints(tmp_path, "val_loss", -1, every_steps=1)
    callbacks = [FiniteLoss(checkpoints), checkpoints]
    with pytest.raises(Diverged) as caught:
        model.fit(inputs, inputs[:, :1], batch_size=16, shuffle=False, callbacks=callbacks, verbose=0)
    assert caught.value.step == 3
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]


def _kept(path: Path, message: str) -> None:
    with np.load(path, allow_pickle=False) as batch:
        keys = batch["keys"].tolist()
        assert len(set(keys)) == 8
        assert batch["inputs/text_token_ids"].shape == (8, 12)
        assert batch["weights"].shape == (8,)
    assert keys[0] in message
    assert "lower train.learning_rate" in message


def test_the_batch_of_a_step_is_made_once_more_with_its_keys(tmp_path):
    tiny = start(tmp_path)
    path = save_batch(build_model(tiny.config.model), tiny.stage, tiny.index, ALONE, 3, 6)
    assert path == tiny.run.folder / "diverged-00000003.npz"
    _kept(path, str(explain(path, 3, 1)))
    assert not list(tiny.run.folder.glob(".*.tmp*"))


def test_what_is_hidden_is_not_in_it(tmp_path):
    tiny = start(tmp_path)
    model = build_model(tiny.config.model)
    for level in ("text", "all"):
        with redacting(level):
            _hidden(save_batch(model, tiny.stage, tiny.index, ALONE, 3, 6), level)


def _hidden(path: Path, level: str) -> None:
    with np.load(path, allow_pickle=False) as batch:
        names, keys = set(batch.files), batch["keys"].tolist()
        assert batch["finite/text_token_ids"].tolist() == [True] * 8
    assert not {"inputs/text_token_ids", "inputs/text_padding_mask"} & names
    assert ("inputs/text_present" in names) == (level == "text")
    assert all(key.startswith("#") for key in keys) == (level == "all")
    message = str(explain(path, 3, 1))
    assert "Inputs that privacy.redact hides are not in it." in message
    assert keys[0] in message


@pytest.mark.parametrize(("losses", "named"), [(contrastive, True), (uniformity, False)])
def test_samples_are_named_by_their_loss_or_by_what_they_add_to_that_of_the_batch(losses, named):
    rng = np.random.default_rng(0)
    inputs = {name: keras.Input((4,), name=name) for name in ("image", "text")}
    outputs = {f"{name}_embedding": keras.layers.Dense(3, name=f"head_{name}")(value) for name, value in inputs.items()}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", jit_compile=False)
    batch = {name: rng.normal(size=(5, 4)).astype("float32") for name in inputs}
    batch["text"][2] *= -40  # a text that looks like no picture of the batch
    found = _losses(model, batch, {}, np.ones(5, "float32"), Objective(model, losses, {}, None))
    assert found["outputs_finite/image_embedding"].all()
    assert ("losses" in found) == named
    assert ("influences" in found) != named
    rows = found["losses" if named else "influences"]
    assert rows.shape == (5,)
    if named:
        assert np.ptp(rows) > 1


def _spread(outputs, targets, inputs, context):
    """A loss of the batch alone that one sample can spoil."""
    return {"spread": ops.log(ops.max(context.gather(outputs["value"]), axis=0))[0]}


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 2, 3, 9], 3), ([1, 2, np.inf, 3], 2)], ids=["finite", "infinite"]
)
def test_the_sample_that_spoils_a_loss_of_the_batch_as_a_whole_is_named(tmp_path, values, expected):
    given = keras.Input((1,), name="value")
    model = keras.Model({"value": given}, {"value": keras.layers.Identity(name="same")(given)})
    model.compile("sgd", jit_compile=False)
    objective = Objective(model, _spread, {}, None)
    outputs = {"value": np.array(values, "float32")[:, None]}
    rows = objective.influences(outputs, {}, {}, np.ones(4, "float32"))
    assert int(np.argmax(rows)) == expected
    assert np.isinf(rows[expected]) == np.isinf(values[expected])
    path = tmp_path / "diverged-00000007.npz"
    np.savez(path, keys=np.array(list("abcd")), weights=np.ones(4), influences=rows, whole=np.array(True))
    said = "Samples by their contribution to the loss of the whole batch at the last checkpoint:\n  " + "abcd"[expected]
    assert said in str(explain(path, 7, 2))


@pytest.mark.slow
def test_the_batch_of_a_training_is_kept(tmp_path):
    tiny = start(tmp_path)
    with pytest.raises(TrainingError, match=r"in step \d+ \(epoch 1\)\. The batch of that step is in") as caught:
        tiny.fit(learning_rate=1e38)
    (path,) = tiny.run.folder.glob("diverged-*.npz")
    _kept(path, str(caught.value))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs/radar": np.array([[1.0, 2.0], [np.inf, 0.0]])}, "  b: not finite in inputs/radar"),
        ({"finite/radar": np.array([True, False])}, "  b: not finite in inputs/radar"),
        ({"losses": np.array([0.5, np.nan])}, "  b: loss nan, weight 2\n  a: loss 0.5, weight 1"),
        ({}, "Its inputs, targets and weights are finite. Samples: a, b."),
        ({"outputs_finite/answer": np.array([True, False])}, "  b: not finite in outputs/answer"),
        (
            {"whole": np.array(True)},
            "  Its inputs, targets and weights are finite. Samples: a, b.",
        ),
        (
            {"whole": np.array(True), "losses": np.array([0.5, 2.0])},
            "at the last checkpoint, which also depends on the other samples of the batch:\n  b: loss 2",
        ),
    ],
    ids=["input", "hidden", "loss", "nothing", "output", "whole", "whole with losses"],
)
def test_the_most_suspicious_samples_are_named(tmp_path, change, said):
    path = tmp_path / "diverged-00000007.npz"
    batch = {"keys": np.array(["a", "b"]), "weights": np.array([1.0, 2.0]), "targets/answer": np.array([0, 1])}
    np.savez(path, **{**batch, **change})
    message = str(explain(path, 7, 2))
    assert said in message
    assert "in step 7 (epoch 2)" in message
