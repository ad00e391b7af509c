"""Static int8 in ONNX: what is quantised and what is kept, what TensorRT asks of it, and how near it stays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import numpy_helper

from export.to_onnx.int8 import OnnxQuantizer, weights_only
from export.to_onnx.onnx_from_keras import check, float32_graph
from export.to_onnx.pairs import weighted_nodes
from export.to_tensorrt.lint import lint_file
from mmkeras.core.errors import ExportError
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio

RNG = np.random.default_rng(0)
SAMPLES = {
    "image": RNG.normal(size=(20, 8, 8, 3)).astype("float32"),
    "gain": RNG.uniform(size=(20, 1)).astype("float32"),
}
CONV, DENSE, BRANCH, LOGITS = "image_branch/conv", "image_branch/dense", "gain_branch/wide", "head_logits"


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    gain = keras.Input((1,), name="gain")
    seen = keras.Sequential(
        [
            layers.Conv2D(16, 3, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(6.0, name="relu"),
            layers.DepthwiseConv2D(3, name="small"),
            layers.Flatten(name="flat"),
            layers.Dense(24, activation="gelu", name="dense"),
        ],
        name="image_branch",
    )(image)
    loud = keras.Sequential(
        [layers.Dense(300, name="wide"), layers.LayerNormalization(name="norm")], name="gain_branch"
    )
    fused = layers.Concatenate(name="fusion_concat")([seen, loud(gain)])
    return keras.Model({"image": image, "gain": gain}, {"scores": layers.Dense(4, name="head_logits")(fused)}, name="m")


@pytest.fixture(scope="module")
def float32(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "float32.onnx"
    onnx.save(float32_graph(model), path)
    return path


@pytest.fixture(scope="module")
def quantizer(float32: Path) -> OnnxQuantizer:
    return OnnxQuantizer(float32, SAMPLES, float32.parent)


def scores(path: Path, samples: dict[str, np.ndarray] = SAMPLES) -> np.ndarray:
    with runners()["onnx"](path) as runner:
        return runner.infer(samples)["scores"]


def names(quantizer: OnnxQuantizer) -> dict[str, str]:
    return {layer.layer: layer.name for layer in quantizer.layers}


def constants(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_layers_are_told_by_keras_names_and_parts(quantizer: OnnxQuantizer) -> None:
    found = {layer.layer: (layer.branch, layer.operation, layer.weights) for layer in quantizer.layers}
    assert found == {
        CONV: ("image", "Conv", 432),
        DENSE: ("image", "MatMul", 16 * 16 * 24),
        BRANCH: ("gain", "MatMul", 300),
        LOGITS: ("head", "MatMul", 324 * 4),
    }, "the depthwise convolution has 144 weights, which is too few"


def test_a_file_is_what_tensorrt_asks_for(
    quantizer: OnnxQuantizer, model: keras.Model, float32: Path, tmp_path: Path
) -> None:
    quantizer.write(tmp_path / "int8.onnx")
    proto = onnx.load(tmp_path / "int8.onnx")
    check(proto, model)
    assert proto.opset_import == onnx.load(float32).opset_import
    assert not [finding for finding in lint_file(tmp_path / "int8.onnx") if finding.error]
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == 8, "a pair for the weights and the input of each"
    values = constants(tmp_path / "int8.onnx")
    makers = {name: node for node in proto.graph.node for name in node.output}
    for node in proto.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = values[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    for node in weighted_nodes(onnx.load(float32)):
        read = next(
            n for n in proto.graph.node if n.output[0] == onnx.load(float32).graph.node[node.position].output[0]
        )
        assert [makers[name].op_type for name in read.input[:2]] == ["DequantizeLinear"] * 2
        if len(read.input) > 2:
            assert values[read.input[2]].dtype == np.float32, "a bias is not quantised"


def test_answers_stay_near_for_any_batch(quantizer: OnnxQuantizer, float32: Path, tmp_path: Path) -> None:
    quantizer.write(tmp_path / "int8.onnx")
    expected = scores(float32)
    got = scores(tmp_path / "int8.onnx")
    assert 0 < np.abs(got - expected).max() < 0.05 * np.abs(expected).max()
    single = scores(tmp_path / "int8.onnx", {name: value[3:4] for name, value in SAMPLES.items()})
    np.testing.assert_allclose(single[0], got[3], atol=1e-5)


def test_what_is_kept_stays_as_it_was(quantizer: OnnxQuantizer, float32: Path, tmp_path: Path) -> None:
    known = names(quantizer)
    quantizer.write(tmp_path / "most.onnx", [known[LOGITS], known[DENSE]])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "most.onnx").graph.node)
    assert kinds["QuantizeLinear"] == 4
    quantizer.write(tmp_path / "one.onnx", [name for layer, name in known.items() if layer != LOGITS])
    quantizer.write(tmp_path / "all.onnx")
    off = {name: np.abs(scores(tmp_path / f"{name}.onnx") - scores(float32)).mean() for name in ("one", "all")}
    assert 0 < off["one"] < off["all"]


def test_files_are_written_alike_whatever_came_before(quantizer: OnnxQuantizer, tmp_path: Path) -> None:
    quantizer.write(tmp_path / "a.onnx")
    quantizer.write(tmp_path / "b.onnx", [quantizer.layers[0].name])
    quantizer.write(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_unknown_names_and_nothing_left_are_refused(quantizer: OnnxQuantizer, tmp_path: Path) -> None:
    every = [layer.name for layer in quantizer.layers]
    with pytest.raises(ExportError, match="did you mean"):
        quantizer.write(tmp_path / "x.onnx", [every[-1] + "x"])
    with pytest.raises(ExportError, match="nothing would be int8"):
        quantizer.write(tmp_path / "x.onnx", every)
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"image": SAMPLES["image"]}, r"expected \['gain', 'image'\], got \['image'\]"),
        ({**SAMPLES, "extra": SAMPLES["gain"]}, "got .*extra"),
        ({**SAMPLES, "gain": SAMPLES["gain"][:3]}, "same number of samples.*'gain': 3"),
        ({name: value[:0] for name, value in SAMPLES.items()}, "at least 1"),
        ({**SAMPLES, "gain": np.zeros((20, 2), "float32")}, "does not run the samples"),
        ({**SAMPLES, "gain": np.zeros((20, 1), "int32")}, "does not run the samples"),
        (
            {**SAMPLES, "gain": np.full((20, 1), np.nan, "float32")},
            "gain.*NaN or infinite on one of the samples 0 to 7",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    samples: dict[str, np.ndarray], message: str, float32: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        OnnxQuantizer(float32, samples, tmp_path)
    assert not list(tmp_path.iterdir()), "the temporary copy is gone"


def test_weights_alone_take_a_quarter_and_change_little(model: keras.Model, float32: Path, tmp_path: Path) -> None:
    weights_only(float32, tmp_path / "weights.onnx")
    proto = onnx.load(tmp_path / "weights.onnx")
    check(proto, model)
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (0, 4)
    before, after = constants(float32), constants(tmp_path / "weights.onnx")
    stored = {name: value for name, value in after.items() if value.dtype == np.int8 and value.ndim > 1}
    assert sorted(value.size for value in stored.values()) == [300, 432, 1296, 6144]
    for name, value in stored.items():
        original, axis = name.removesuffix("_quantized").rsplit("_axis", 1)
        assert original not in after, "the float32 weights are gone"
        scale = after[name.replace("_quantized", "_scale")]
        shape = [-1 if i == int(axis) else 1 for i in range(value.ndim)]
        assert np.all(np.abs(value * scale.reshape(shape) - before[original]) <= scale.reshape(shape) * 0.5001)
    expected = scores(float32)
    assert 0 < np.abs(scores(tmp_path / "weights.onnx") - expected).max() < 0.02 * np.abs(expected).max()
