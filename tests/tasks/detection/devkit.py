"""nuscenes-devkit as an oracle, loaded without what its metric does not use.

``import nuscenes`` draws in OpenCV, shapely and more for maps and rendering. The evaluation itself needs numpy, tqdm,
matplotlib and pyquaternion: here its modules are loaded from their files below a bare package, with an empty ``cv2``,
and ``sys.modules`` is left as it was.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

VERSION = "1.2.0"
_ROOTS = ("nuscenes", "cv2")


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in _ROOTS


@functools.cache
def devkit() -> SimpleNamespace:
    """Return ``algo``, ``loaders``, ``common`` and ``detection`` of the devkit, or skip the test."""
    pytest.importorskip("pyquaternion", reason="the oracle nuscenes-devkit needs pyquaternion")
    try:
        version = importlib.metadata.version("nuscenes-devkit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the oracle is not there: pip install --no-deps nuscenes-devkit=={VERSION} pyquaternion")
    if version != VERSION:
        pytest.skip(f"the oracle is nuscenes-devkit {VERSION}, installed is {version}")
    spec = importlib.util.find_spec("nuscenes")
    assert spec is not None
    assert spec.origin is not None
    before = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    try:
        for name in before:
            del sys.modules[name]
        package = ModuleType("nuscenes")
        package.__path__ = [str(Path(spec.origin).parent)]
        package.NuScenes = object  # type: ignore[attr-defined]
        sys.modules |= {"nuscenes": package, "cv2": ModuleType("cv2")}
        return SimpleNamespace(
            algo=importlib.import_module("nuscenes.eval.detection.algo"),
            loaders=importlib.import_module("nuscenes.eval.common.loaders"),
            common=importlib.import_module("nuscenes.eval.common.data_classes"),
            detection=importlib.import_module("nuscenes.eval.detection.data_classes"),
        )
    finally:
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)
