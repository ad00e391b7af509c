"""Visual question answering: a picture and a question in, an answer out.

    python -m pipelines.vqa                                     # easy-VQA, as make demo runs it
    python -m pipelines.vqa --config pipelines/configs/vqa_long.toml
    python -m pipelines.vqa --config my.toml --train.epochs 3   # your own table, see pipelines/configs/vqa_table.toml
    python -m pipelines.vqa --resume                            # continue after Ctrl-C or a crash
    python -m pipelines.vqa --record                            # also write the accuracy into docs/results.json
    python -m pipelines.vqa --record runs/vqa/latest            # the same for a finished run, without training

Image: an EfficientNet without squeeze-and-excite (or any of keras.applications). Text: a BERT encoder. Fusion: the
question's tokens query the image's by cross-attention. Results to expect are in README.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated, Story
from pipelines._stages.public import compare_with_each_alone
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["VqaConfig", "VqaModel", "VqaStory", "main"]


@dataclass(frozen=True)
class VqaModel(ModelConfig):
    """An image and a question."""

    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class VqaConfig(StoryConfig):
    """A run of the visual question answering pipeline."""

    name: str = "vqa"
    """Name of the run's folder and of the saved model."""
    model: VqaModel = field(default_factory=VqaModel)


class VqaStory(Story[VqaConfig]):
    """The common stages; records the accuracy on easy-VQA and its exported files in docs/results.json."""

    def named(self, config: VqaConfig) -> str:
        """Return the first part of the numbers' names."""
        return "vqa"

    def check_numbers(self, config: VqaConfig) -> None:
        """Refuse all data but the whole of easy-VQA."""
        if config.data.source.name != "easy_vqa" or config.data.limit is not None:
            raise ConfigError(
                "--record: vqa.accuracy is measured on the whole of easy-VQA; expected data.source.name easy_vqa "
                f"without data.limit, got {config.data.source.name} with {config.data.limit}"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the accuracy on the test split with its interval, in percent."""
        accuracy = metrics["test"]["accuracy"]
        return {"vqa.accuracy": Figure(*(100 * accuracy[key] for key in ("value", "low", "high")))}

    def after_evaluation(self, done: Evaluated) -> None:
        """Train each modality alone, where ``alone.modalities`` asks for it."""
        compare_with_each_alone(done)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(VqaConfig, arguments, program=Path(__file__), description=__doc__, story=VqaStory())


if __name__ == "__main__":
    sys.exit(main())
