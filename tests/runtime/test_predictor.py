from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmkeras import Predictor
from mmkeras.bundle import Bundle
from mmkeras.core.errors import BundleError, ConfigError, DataError, DependencyError
from mmkeras.runtime.predictor import choose
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio


def without(monkeypatch: pytest.MonkeyPatch, *formats: str) -> None:
    """Pretend that engines are not installed: their module's name leads nowhere."""
    for name in formats:
        monkeypatch.setattr(runners()[name], "module", "engine_that_is_not_there")


def test_the_most_exact_file_comes_first_and_litert_before_onnx(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    assert choose(bundle).path == "edge/tiny.float32.tflite"
    assert choose(bundle, precision="float16").path == "edge/tiny.float16.tflite"
    assert choose(bundle, "onnx").path == "edge/tiny.float32.onnx"
    without(monkeypatch, "tflite")
    assert choose(bundle).path == "edge/tiny.float32.onnx"


def test_a_rejected_file_is_never_chosen(edit: Callable[..., Bundle]):
    bundle = edit("tflite", "float32", accepted=False, reason="3 flips")
    assert choose(bundle).path == "edge/tiny.float32.onnx"
    assert choose(bundle, "tflite").path == "edge/tiny.float16.tflite"
    with pytest.raises(BundleError, match="tflite float32: 3 flips"):
        choose(bundle, "tflite", "float32")
    with pytest.raises(BundleError, match=r"int8-dynamic: accuracy falls by 1.4 points"):
        choose(bundle, precision="int8-dynamic")


def test_a_missing_engine_names_its_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    without(monkeypatch, "onnx")
    with pytest.raises(DependencyError, match=r"mmkeras\[onnx\]"):
        choose(bundle, "onnx")
    without(monkeypatch, "tflite")
    with pytest.raises(DependencyError, match=r"LiteRT is not installed.*mmkeras\[litert\]"):
        choose(bundle)


def test_what_is_not_in_the_bundle_is_answered_with_what_is(bundle: Bundle):
    with pytest.raises(ConfigError, match=r"no tflit .*did you mean 'tflite'.*tflite float16, onnx float32"):
        choose(bundle, "tflit")
    with pytest.raises(ConfigError, match=r"no float61 .*did you mean 'float16'"):
        choose(bundle, precision="float61")
    with pytest.raises(ConfigError, match=r"no onnx float16 .*It has: tflite float32.*int8-dynamic \(rejected\)"):
        choose(bundle, "onnx", "float16")
    with pytest.raises(ConfigError, match="no saved_model"):
        choose(bundle, "saved_model")


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_raw_inputs_give_the_golden_answers(bundle: Bundle, format: str):
    golden, raw = bundle.golden(), bundle.golden_raw()
    with Predictor(bundle, format) as predictor:
        one_by_one = [predictor.predict(**values) for values in raw]
        together = predictor.predict_batch(raw)
    expected = bundle.task.decode(golden.outputs)
    for answers in (one_by_one, together):
        assert [a["label"] for a in answers] == [e["label"] for e in expected]
        assert [a["confidence"] for a in answers] == pytest.approx([e["confidence"] for e in expected], abs=1e-4)


def test_a_missing_modality_is_simply_not_given(exported: Path):
    with Predictor(exported) as predictor:
        inputs = predictor.preprocess({"text": "what shape is it?"})
        assert inputs["image_present"].tolist() == [0.0]
        assert inputs["text_present"].tolist() == [1.0]
        assert not inputs["image"].any()
        assert predictor.predict(text="what?") == predictor.predict(text="what?", image=None)
        assert predictor.predict(text="")["label"]  # an empty text is a text
        for values in ({}, {"image": None, "text": None}):
            with pytest.raises(DataError, match="at least one of image, text"):
                predictor.predict(**values)
        with pytest.raises(ConfigError, match=r"no modality 'img'; .*'image'"):
            predictor.predict(img="a.png")
        with pytest.raises(DataError, match=r"Sample 1: .*at least one"):
            predictor.predict_batch([{"text": "a"}, {}])
        assert predictor.predict_batch([]) == []


def test_a_batch_is_a_list_of_samples(exported: Path):
    with Predictor(exported) as predictor:
        sample = {"text": "what?"}
        with pytest.raises(ConfigError, match=r"expected a list of samples, got one; give \[sample\]"):
            predictor.predict_batch(sample)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"Sample 1: expected raw values by modality.*got str"):
            predictor.predict_batch([sample, "what?"])  # type: ignore[list-item]
        assert predictor.predict_batch(iter([sample])) == [predictor.predict(**sample)]  # type: ignore[arg-type]
        assert predictor.predict_batch(iter([])) == []  # type: ignore[arg-type]


def test_an_altered_file_is_not_run(folder: Path):
    with (folder / "edge/tiny.float32.tflite").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=r"float32\.tflite is not the file that was exported"):
        Predictor(folder)
    # Only what is loaded is hashed: the other files still work.
    with Predictor(folder, "onnx") as predictor:
        assert predictor.predict(text="what?")["label"]


def test_outputs_that_the_task_needs(folder: Path, edit: Callable[..., Bundle]):
    bundle = edit("tflite", "float32", tolerance=1.0)
    task = dataclasses.replace(bundle.task)
    object.__setattr__(task, "labels", ("a", "b", "c"))

    class Other(type(task)):  # type: ignore[misc]
        @property
        def outputs(self):
            return tuple(dataclasses.replace(t, name="scores") for t in super().outputs)

    with pytest.raises(BundleError, match="output scores: missing, got probabilities"):
        Predictor(dataclasses.replace(bundle, task=Other(labels=("a", "b", "c"))))


def test_a_call_costs_little_more_than_its_parts(bundle: Bundle):
    """The overhead of `predict` over preprocessing, raw interpreter and decoding, in absolute terms."""
    values = bundle.golden_raw()[0]
    with Predictor(bundle) as predictor:

        def parts() -> None:
            inputs = {
                k: np.asarray(v)[None] for s in bundle.specs.values() for k, v in s.inputs(values[s.name]).items()
            }
            bundle.task.decode(predictor.runner._run(inputs))

        differences = []
        for _ in range(200):
            start = time.perf_counter_ns()
            predictor.predict(**values)
            middle = time.perf_counter_ns()
            parts()
            differences.append((middle - start) - (time.perf_counter_ns() - middle))
    assert np.median(differences) < 200_000, "more than 0.2 ms of overhead in a call"
