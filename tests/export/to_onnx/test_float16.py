"""float16 in ONNX: what overflows or loses its digits stays float32, the file says which layers, nothing else moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.to_onnx import float16 as onnx_float16
from export.to_onnx.float16 import Float16Quantizer, islands_of
from export.to_onnx.islands import Island, find_islands, hiding_nodes
from export.to_onnx.onnx_from_keras import check, float32_graph
from export.to_tensorrt.lint import lint_file
from mmkeras.core.errors import ExportError
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 6)).astype("float32")
Change = Callable[[Any], Any]
Bare = Callable[[Path], np.ndarray]


def model_of(**changes: Change) -> keras.Model:
    """A model whose layers in the middle are given by name."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="x")
    value = layers.Dense(8, name="first")(inputs)
    for name, change in changes.items():
        value = layers.Lambda(change, name=name)(value)
    return keras.Model({"x": inputs}, {"y": layers.Dense(3, name="last")(value)}, name="m")


def written(model: keras.Model, folder: Path, samples: np.ndarray = X) -> tuple[Path, Path]:
    """Write a model in float32 and float16."""
    base, path = folder / "float32.onnx", folder / "float16.onnx"
    onnx.save(float32_graph(model), base)
    write_float16(base, path, {"x": samples}, folder)
    check(onnx.load(path), model)
    return base, path


def write_float16(float32: Path, path: Path, samples: dict[str, np.ndarray], work: Path) -> tuple[Island, ...]:
    """Write a file without choosing anything, and return its islands."""
    halves = Float16Quantizer(float32, samples, work)
    halves.write(path)
    return halves.islands


def answers(path: Path) -> np.ndarray:
    """Compute node by node in the types of the file; ONNX Runtime keeps float32 between nodes on a CPU."""
    with np.errstate(all="ignore"):
        return np.asarray(ReferenceEvaluator(onnx.load(path)).run(None, {"x": X})[0])


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], np.ndarray]:
    """What a file answers that is float16 throughout."""

    def answer(base: Path) -> np.ndarray:
        with monkeypatch.context() as patch:
            patch.setattr(onnx_float16, "find_islands", lambda *arguments: ())
            write_float16(base, tmp_path / "bare.onnx", {"x": X}, tmp_path)
        return answers(tmp_path / "bare.onnx")

    return answer


def scaled_to_one(x: Any) -> Any:
    return x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True))


def test_a_model_within_float16_has_no_islands_and_is_what_the_converter_writes(tmp_path: Path) -> None:
    base, path = written(model_of(gelu=keras.activations.gelu), tmp_path)
    assert islands_of(path) == {}
    types = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert TensorProto.FLOAT not in types
    assert not onnx.load(path).metadata_props
    np.testing.assert_allclose(answers(path), answers(base), atol=5e-3)


def test_values_that_overflow_in_the_middle_stay_float32(tmp_path: Path, bare: Bare) -> None:
    base, path = written(model_of(louder=lambda x: x * 1000.0, norm=scaled_to_one), tmp_path)
    assert np.abs(bare(base) - answers(base)).max() > 0.1, "float16 alone divides by infinity"
    np.testing.assert_allclose(answers(path), answers(base), atol=5e-3)
    islands = islands_of(path)
    assert set(islands) == {"norm"}, "what is large is squared there, and nothing before is"
    assert "values up to" in islands["norm"]
    weights = {t.name: t.data_type for t in onnx.load(path).graph.initializer if np.prod(t.dims) > 8}
    assert set(weights.values()) == {TensorProto.FLOAT16}, "the dense layers are float16"
    findings = lint_file(path)
    assert not [finding for finding in findings if finding.error]
    assert [f.version for f in findings if "may overflow in norm" in f.message] == ["8.6"]


def test_divisors_too_small_for_float16_stay_float32_with_what_they_are_made_of(tmp_path: Path, bare: Bare) -> None:
    base, path = written(model_of(quieter=lambda x: x * 1e-4, norm=scaled_to_one), tmp_path)
    assert not np.isfinite(bare(base)).all(), "float16 alone divides by zero"
    np.testing.assert_allclose(answers(path), answers(base), atol=5e-3)
    assert "numbers down to" in islands_of(path)["norm"]


def test_a_huge_constant_stays_float32(tmp_path: Path, bare: Bare) -> None:
    base, path = written(model_of(far=lambda x: ops.relu(x * 1e6) * 1e-6), tmp_path)
    assert not np.isfinite(bare(base)).all()
    assert "far" in islands_of(path)
    np.testing.assert_allclose(answers(path), answers(base), atol=5e-3)


def test_islands_hand_over_float32_and_outputs_keep_their_names(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="x")
    model = keras.Model({"x": inputs}, {"y": layers.Lambda(lambda x: ops.square(x * 1e5) + 1.0, name="sq")(inputs)})
    base, path = written(model, tmp_path)
    np.testing.assert_allclose(answers(path), answers(base), rtol=1e-6)
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert "Cast" not in kinds, "input, island and output are all float32"


def small(nodes: list[Any], constants: dict[str, np.ndarray], folder: Path, *, mask: bool = False) -> Path:
    """Write a graph that maps x (batch, 6), and a mask where one is wanted, to y."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])]
    if mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.BOOL, ["batch", 6]))
    graph = helper.make_graph(
        nodes,
        "small",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(proto), folder / "small.onnx")
    return folder / "small.onnx"


def test_a_constant_that_an_island_shares_keeps_its_digits_there(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "third"], ["small"]),
        helper.make_node("Mul", ["x", "huge"], ["large"]),
        helper.make_node("Mul", ["large", "third"], ["less"]),
        helper.make_node("Div", ["less", "huge"], ["back"]),
        helper.make_node("Sub", ["back", "small"], ["y"]),
    ]
    path = small(nodes, {"third": np.array([1 / 3], "float32"), "huge": np.array([1e6], "float32")}, tmp_path)
    islands = write_float16(path, tmp_path / "out.onnx", {"x": X}, tmp_path)
    assert [island.node for island in islands] == ["Mul:large", "Mul:less", "Div:back"], "nodes without a name get one"
    constants = {t.name: t.data_type for t in onnx.load(tmp_path / "out.onnx").graph.initializer}
    assert constants == {"third": 10, "huge": 1, "third_float32": 1}
    np.testing.assert_allclose(answers(tmp_path / "out.onnx"), answers(path), atol=1e-3)


def masked(kind: str) -> list[Any]:
    """Attention weights of scores under a mask, in the forms that converters write."""
    choice = {
        "where": [helper.make_node("Where", ["mask", "x", "huge"], ["s"])],
        "product": [
            helper.make_node("Not", ["mask"], ["inverse"]),
            helper.make_node("Cast", ["mask"], ["one"], to=1),
            helper.make_node("Cast", ["inverse"], ["other"], to=1),
            helper.make_node("Mul", ["one", "x"], ["shown"]),
            helper.make_node("Mul", ["huge", "other"], ["hidden"]),
            helper.make_node("Add", ["hidden", "shown"], ["s"]),
        ],
        "sum": [
            helper.make_node("Not", ["mask"], ["inverse"]),
            helper.make_node("Cast", ["inverse"], ["other"], to=1),
            helper.make_node("Mul", ["huge", "other"], ["hidden"]),
            helper.make_node("Add", ["hidden", "x"], ["s"]),
        ],
    }[kind]
    return [*choice, helper.make_node("Identity", ["s"], ["moved"]), helper.make_node("Softmax", ["moved"], ["y"])]


MASK = RNG.random((20, 6)) < 0.5
MASK[:3] = False


@pytest.mark.parametrize("kind", ["where", "product", "sum"])
@pytest.mark.parametrize("value", [-1e9, -2.37e38])
def test_masks_of_a_softmax_are_cut_only_where_that_is_the_same(kind: str, value: float, tmp_path: Path) -> None:
    path = small(masked(kind), {"huge": np.array(value, "float32")}, tmp_path, mask=True)
    samples = {"x": X * 20, "mask": MASK}
    islands = write_float16(path, tmp_path / "out.onnx", samples, tmp_path)
    assert bool(islands) == (kind == "sum")
    with runners()["onnx"](path) as before, runners()["onnx"](tmp_path / "out.onnx") as after:
        weights = before.infer(samples)["y"]
        np.testing.assert_allclose(after.infer(samples)["y"], weights, atol=0.01)
    assert not weights[~MASK & MASK.any(1, keepdims=True)].any(), "what is hidden beside others weighs nothing"
    if kind != "sum":
        np.testing.assert_allclose(weights[:3], 1 / 6, atol=1e-6)


def test_a_mask_is_no_excuse_for_large_scores_or_other_readers(tmp_path: Path) -> None:
    path = small(masked("where"), {"huge": np.array(-1e9, "float32")}, tmp_path, mask=True)
    named = onnx.load(path)
    assert set(hiding_nodes(named)) == {"s", "moved"}
    for index, node in enumerate(named.graph.node):
        node.name = f"node{index}"
    onnx.save(named, path)
    assert find_islands(path, {"x": X * 1e5, "mask": MASK}, tmp_path)
    extra = helper.make_node("Exp", ["s"], ["also"])
    named.graph.node.append(extra)
    assert not hiding_nodes(named)


def test_samples_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    onnx.save(float32_graph(model_of()), base / "float32.onnx")
    work = tmp_path / "work"
    work.mkdir()
    for samples in ({"z": X}, {"x": X[:, :2]}, {"x": X[:0]}):
        with pytest.raises(ExportError):
            write_float16(base / "float32.onnx", tmp_path / "out.onnx", samples, work)
    assert not list(work.iterdir())
    assert not (tmp_path / "out.onnx").exists()


def test_a_layer_that_is_kept_is_computed_in_float32(tmp_path: Path) -> None:
    model = model_of()
    base, path = tmp_path / "float32.onnx", tmp_path / "float16.onnx"
    onnx.save(float32_graph(model), base)
    halves = Float16Quantizer(base, {"x": X}, tmp_path)
    assert [(each.layer, each.branch) for each in halves.layers] == [("first", "other"), ("last", "other")]
    assert [each.weights for each in halves.layers] == [6 * 8, 8 * 3], "biases of zero are dropped"
    errors = {}
    for keep in ((), ("first",), ("first", "last")):
        halves.write(path, keep)
        check(onnx.load(path), model)
        assert islands_of(path) == dict.fromkeys(keep, "float16 is not precise enough")
        kinds = Counter(tensor.data_type for tensor in onnx.load(path).graph.initializer)
        assert kinds[TensorProto.FLOAT] == len(keep)
        errors[keep] = float(np.abs(answers(path) - answers(base)).max())
    assert min(errors[()], errors[("first",)]) > errors[("first", "last")] == 0
    with pytest.raises(ExportError, match="No layer is called 'firs'; did you mean"):
        halves.write(path, ["firs"])
