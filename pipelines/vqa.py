"""Visual question answering: a picture and a question in, an answer out.

    python -m pipelines.vqa                                     # easy-VQA, as make demo runs it
    python -m pipelines.vqa --config pipelines/configs/vqa_long.toml
    python -m pipelines.vqa --config my.toml --train.epochs 3   # your own table, see pipelines/configs/vqa_table.toml
    python -m pipelines.vqa --resume                            # go on after Ctrl-C or a crash

Image: an EfficientNet without squeeze-and-excite (or any of keras.applications). Text: a BERT encoder. Fusion: the
question's tokens query the image's by cross-attention. Results to expect are in the README.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmkeras.config import ModelConfig, RunConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._story import run_story

__all__ = ["VqaConfig", "VqaModel", "main"]


@dataclass(frozen=True)
class VqaModel(ModelConfig):
    """An image and a question."""

    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class VqaConfig(RunConfig):
    """A run of the visual question answering pipeline."""

    name: str = "vqa"
    """Name of the run's folder and of the saved model."""
    model: VqaModel = field(default_factory=VqaModel)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    description = (__doc__ or "").split("\n\n")[0]
    return run_story(VqaConfig, arguments, program=Path(__file__), description=description)


if __name__ == "__main__":
    sys.exit(main())
