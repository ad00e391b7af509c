"""A conversion that gives no file at all: the layer that breaks it is found all the same."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

from export.doctor.converter import Converter
from export.doctor.culprits import MOST, culprits
from export.doctor.litert import save_frozen
from export.doctor.verdicts import Verdict
from mmkeras.core.errors import ExportError
from tests.export.doctor.conftest import Apply, Examine, only, told


def test_a_sum_that_looks_like_a_bias_is_found_among_many_layers(examine: Examine) -> None:
    x = keras.Input((13, 2), name="x")
    dense = layers.Dense(2, name="before")(x)
    # A plain operation cannot be named by its user.
    total = ops.add(dense[:, :, :1], dense[:, :, 1:])
    model = keras.Model({"x": x}, {"y": layers.Dense(2, name="after")(total)})
    finding = only(examine(model, "tflite")["tflite"], Verdict.BREAKS)
    assert finding.error
    assert any(path.startswith("add") for path in finding.layers), finding
    assert not {"before", "after"} & set(finding.layers)
    assert "ops.subtract(a, -b)" in finding.cure
    cured = ops.subtract(dense[:, :, :1], ops.multiply(dense[:, :, 1:], -1.0))
    good = keras.Model({"x": x}, {"y": layers.Dense(2, name="after")(cured)})
    assert not examine(good, "tflite")["tflite"].errors


def test_a_layer_that_cannot_be_traced_is_found_for_every_target(examine: Examine) -> None:
    built = False

    def fails(x: Any) -> Any:
        if built:
            raise RuntimeError("not in a graph")
        return x

    x = keras.Input((6,), name="x")
    y = layers.Dense(3, name="first")(x)
    for name in ("second", "third"):
        y = layers.Dense(3, name=name)(y)
    y = layers.Dense(2, name="last")(Apply(fails, "stubborn")(y))
    model = keras.Model({"x": x}, {"y": y})
    built = True
    found = examine(model)
    for target in ("tflite", "onnx"):
        finding = only(found[target], Verdict.BREAKS)
        assert finding.layers == ("stubborn",)
        assert "not in a graph" in finding.message
    assert only(found["tensorrt"], Verdict.UNKNOWN).error


@pytest.mark.slow
def test_a_crash_of_the_converter_is_a_finding(examine: Examine) -> None:
    """Recurrent layers with a loop end the converter's process when they are quantised."""
    x = keras.Input((8, 6), name="x")
    bad = layers.LSTM(4, name="remember")(layers.Dense(6, name="before")(x))
    finding = only(examine(keras.Model({"x": x}, {"y": bad}), "tflite")["tflite"], Verdict.BREAKS)
    assert finding.layers == ("remember",)
    assert "crashed" in finding.message
    assert "unroll=True" in finding.cure
    good = layers.LSTM(4, unroll=True, name="remember")(layers.Dense(6, name="before")(x))
    assert not told(examine(keras.Model({"x": x}, {"y": good}), "tflite")["tflite"], Verdict.BREAKS)


def test_a_converter_that_was_killed_starts_again(converter: Converter, tmp_path: Path) -> None:
    x = keras.Input((6,), name="x")
    save_frozen(keras.Model({"x": x}, {"y": layers.Dense(3)(x)}), tmp_path / "model")
    converter.start()
    process = converter._process
    assert process is not None
    process.send_signal(signal.SIGSEGV)
    process.wait()
    waiting = converter.submit(tmp_path / "model", "builtin")
    assert waiting().startswith(b"\x1c\x00\x00\x00TFL3")
    process = converter._process
    waiting = converter.submit(tmp_path / "gone", "builtin")
    with pytest.raises(ExportError, match="gone"):
        waiting()
    assert converter._process is process, "a refused model ends no process"
    assert process is not None
    process.kill()
    with pytest.raises(ExportError, match="crashed"):
        waiting()


class Search:
    """A conversion that fails where all of some layers are in one model."""

    def __init__(self, *together: set[str]) -> None:
        self.together = together
        self.tried = 0

    def __call__(self, model: keras.Model) -> str:
        self.tried += 1
        names = {layer.name for layer in model._flatten_layers()}
        return next((f"with {sorted(group)}" for group in self.together if group <= names), "")


def chain(names: list[str]) -> keras.Model:
    x = y = keras.Input((4,), name="x")
    for name in names:
        y = layers.Dense(4, name=name)(y)
    return keras.Model({"x": x}, {"y": y})


@pytest.mark.parametrize("bad", [["a0"], ["a7"], ["a3", "a12"], ["a0", "a1", "a15"]])
def test_every_culprit_is_found(bad: list[str]) -> None:
    search = Search(*({name} for name in bad))
    found = culprits(chain([f"a{i}" for i in range(16)]), search)
    assert [culprit.layers for culprit in found] == [(name,) for name in bad]
    assert search.tried <= 10 * len(bad)


def test_layers_that_fail_together_are_found_in_a_row() -> None:
    found = culprits(chain([f"a{i}" for i in range(8)]), Search({"a3", "a4"}))
    assert [culprit.layers for culprit in found] == [("a3", "a4")]


def test_culprits_within_nested_models_and_branches_are_found() -> None:
    inner = chain(["deep", "deeper"])
    inner.name = "branch"
    x, z = keras.Input((4,), name="x"), keras.Input((4,), name="z")
    joined = layers.Add(name="join")([inner({"x": x})["y"], layers.Dense(4, name="other")(z)])
    model = keras.Model({"x": x, "z": z}, {"y": layers.Dense(2, name="head")(joined)})
    found = culprits(model, Search({"deeper"}))
    assert [culprit.layers for culprit in found] == [("branch/deeper",)]


def test_the_search_ends() -> None:
    search = Search(*({f"a{i}"} for i in range(80)))
    assert culprits(chain([f"a{i}" for i in range(80)]), search)
    assert search.tried <= MOST
