"""Calibration samples that a user brings for static int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.calibration.files import load_calibration
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.text.spec import Spec as TextSpec
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "?", "what")
_SPECS = {"image": ImageSpec("image", 4, 4, "stretch"), "text": TextSpec("text", 5, _WORDS)}


def _write(folder: Path) -> None:
    inputs: dict[str, np.ndarray] = {}
    for spec, value in zip(_SPECS.values(), (np.full((4, 4, 3), 9, np.uint8), "what ?"), strict=True):
        inputs |= {name: np.stack([tensor] * 3) for name, tensor in spec.inputs(value).items()}
    np.savez(folder / "stored.npz", **inputs)  # type: ignore[arg-type]
    np.savez_compressed(folder / "packed.npz", **inputs)  # type: ignore[arg-type]


READERS = (Reader("calibration", _write, lambda path: load_calibration(path, _SPECS), share=2),)
