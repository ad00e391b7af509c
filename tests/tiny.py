"""The smallest real models: seconds to build, train and convert."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmkeras.components import Choice
from mmkeras.config import ModelConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "what", "shape", "color", "is", "the", "red", "blue")
LABELS = ("no", "red", "yes")
IMAGE = ImageConfig(size=(32, 32), architecture="edge", width_factor=0.25, depth_factor=0.3, level=3)


@dataclass(frozen=True)
class TinyModel(ModelConfig):
    """Image and text in width 16."""

    width: int = 16
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": list(LABELS)}))
    image: ImageConfig = IMAGE
    text: TextConfig = field(default_factory=TextConfig)


def tiny_model_config(folder: Path, *, fusion: str = "cross_attention", task: Choice | None = None) -> TinyModel:
    """Return a tiny model's configuration; its vocabulary file is written to the folder."""
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    text = TextConfig(
        max_length=8, layers=1, heads=2, hidden=16, intermediate=32, dropout=0.0, vocabulary=str(vocabulary)
    )
    options = {"heads": 2, "layers": 1} if fusion == "cross_attention" else {}
    model = TinyModel(text=text, fusion=Choice(fusion, options))
    return model if task is None else TinyModel(text=text, fusion=Choice(fusion, options), task=task)


def tiny_inputs(batch: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a batch of model inputs: random pixels, words of random length, everything present."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, batch)
    valid = (np.arange(8) < lengths[:, None]).astype("int32")
    return {
        "image": rng.integers(0, 256, (batch, 32, 32, 3)).astype("uint8"),
        "image_present": np.ones(batch, "float32"),
        "text_token_ids": rng.integers(1, len(WORDS), (batch, 8)).astype("int32") * valid,
        "text_padding_mask": valid,
        "text_present": np.ones(batch, "float32"),
    }
