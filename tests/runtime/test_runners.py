from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Bundle
from mmkeras.core.components import names
from mmkeras.core.errors import BundleError, ConfigError, DataError, DependencyError
from mmkeras.runtime.predictor import open_runner
from mmkeras.runtime.runner import RunnerBase, runners

pytestmark = pytest.mark.tfio

FILES = [("tflite", "float32"), ("tflite", "float16"), ("onnx", "float32")]


def entry(bundle: Bundle, format: str, precision: str):
    return next(f for f in bundle.files if (f.format, f.precision) == (format, precision))


def test_every_module_is_a_runner_and_litert_comes_first():
    found = runners()
    assert len(found) == len(names("runtime.runners"))
    assert all(issubclass(cls, RunnerBase) for cls in found.values())
    assert next(iter(found)) == "tflite"


@pytest.mark.parametrize(("format", "precision"), FILES)
def test_outputs_are_those_of_keras_in_every_scenario(bundle: Bundle, format: str, precision: str):
    golden, file = bundle.golden(), entry(bundle, format, precision)
    with open_runner(bundle, file) as runner:
        assert {t.name: t for t in runner.inputs} == {t.name: t for t in bundle.inputs}
        whole = runner.infer(golden.inputs)["probabilities"]
        one = runner.infer({name: array[:1] for name, array in golden.inputs.items()})["probabilities"]
    np.testing.assert_allclose(whole, golden.outputs["probabilities"], atol=file.tolerance)
    np.testing.assert_allclose(one, whole[:1], atol=1e-6)
    assert len(np.unique(whole.round(3), axis=0)) > 5, "the samples should not all give one answer"


@pytest.mark.parametrize(("format", "precision"), FILES[1:])
def test_two_runners_activate_again_and_do_not_share_state(bundle: Bundle, format: str, precision: str):
    golden, file = bundle.golden(), entry(bundle, format, precision)
    first, second = (open_runner(bundle, file, threads=n) for n in (1, 2))
    inputs = [{name: array[i : i + 1] for name, array in golden.inputs.items()} for i in range(2)]
    kept = first.infer(inputs[0])["probabilities"]
    copy = kept.copy()
    first.infer(inputs[1])
    second.infer(inputs[1])
    np.testing.assert_array_equal(kept, copy)
    first.deactivate()
    assert not first.active
    with pytest.raises(DataError, match="activate"):
        first.infer(inputs[0])
    first.activate()
    np.testing.assert_array_equal(first.infer(inputs[0])["probabilities"], copy)
    first.deactivate()
    second.deactivate()


@pytest.mark.parametrize(("format", "precision"), FILES[1:])
def test_wrong_inputs_are_named(bundle: Bundle, format: str, precision: str):
    golden = bundle.golden()
    good = {name: array[:2] for name, array in golden.inputs.items()}
    with open_runner(bundle, entry(bundle, format, precision)) as runner:
        with pytest.raises(DataError, match="image_present is missing"):
            runner.infer({name: array for name, array in good.items() if name != "image_present"})
        with pytest.raises(DataError, match=r"imagee is unknown; did you mean 'image'"):
            runner.infer({**good, "imagee": good["image"]})
        with pytest.raises(DataError, match=r"image of .*expected uint8 \(B, \*\(16, 16, 3\)\), got float32"):
            runner.infer({**good, "image": good["image"].astype("float32")})
        with pytest.raises(DataError, match=r"got uint8 \(2, 8, 16, 3\)"):
            runner.infer({**good, "image": good["image"][:, :8]})
        with pytest.raises(DataError, match=r"got float32 \(\)"):
            runner.infer({**good, "image_present": np.float32(1)})  # type: ignore[dict-item]
        with pytest.raises(DataError, match="expected 2 samples"):
            runner.infer({**good, "text_present": good["text_present"][:1]})
        with pytest.raises(DataError, match="at least one sample"):
            runner.infer({name: array[:0] for name, array in good.items()})


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, format: str):
    path = tmp_path / f"broken.{format}"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(BundleError, match=r"cannot load .*broken"):
        runners()[format](path).activate()


def test_inputs_other_than_the_manifests_are_refused(folder: Path, edit: Callable[..., Bundle]):
    import json

    path = folder / "manifest.json"
    value = json.loads(path.read_text())
    value["modalities"][0]["height"] = 24
    path.write_text(json.dumps(value))
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match=r"does not match the manifest: input image: expected .*24.* got .*16"):
        open_runner(bundle, entry(bundle, "tflite", "float32"))


def test_a_device_that_the_engine_lacks(bundle: Bundle, exported: Path):
    with pytest.raises(ConfigError, match=r"LiteRT has no device 'cuda'; .*'cpu'"):
        runners()["tflite"](exported, device="cuda")
    with pytest.raises(ConfigError, match="threads"):
        runners()["onnx"](exported, threads=0)
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DependencyError, match="onnxruntime-gpu"):
            open_runner(bundle, entry(bundle, "onnx", "float32"), device="cuda")


def test_the_engines_run_where_tensorflow_cannot_be_imported(exported: Path):
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "keras_nlp", "keras_hub", "tensorflow_text", "jax", "torch"):
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Refuse())
from mmkeras.runtime.cli import main
assert main(["selftest", sys.argv[1]]) == 0
assert main(["predict", sys.argv[1], "--text", "what shape is it?"]) == 0
assert main(["predict", sys.argv[1], "--text", "what?", "--format", "onnx", "--json"]) == 0
assert main(["inspect", sys.argv[1]]) == 0
"""
    command = [sys.executable, "-c", script, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_quantised_mobilenet_without_a_signature(shared_data: Callable[[str], Path]):
    from PIL import Image

    folder = shared_data("litert_models") / "litert_models"
    with runners()["tflite"](folder / "mobilenet_v1_0.25_128_quant.tflite") as runner:
        (tensor,) = runner.inputs
        assert (tensor.shape, tensor.dtype) == ((128, 128, 3), "uint8")
        assert runner.quantized_inputs == {tensor.name: (1 / 128, 128)}
        assert runner.quantized_outputs == {runner.outputs[0]: (1 / 256, 0)}
        pixels = np.asarray(Image.open(folder / "cat_720p.jpg").convert("RGB").resize((128, 128)))
        scores = runner.infer({tensor.name: pixels[None]})[runner.outputs[0]]
    labels = (folder / "imagenet_labels.txt").read_text().splitlines()
    best = [labels[index] for index in scores[0].argsort()[::-1][:3]]
    assert all("cat" in label for label in best), best
