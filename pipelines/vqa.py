"""Visual question answering: a picture and a question in, an answer out.

    python -m pipelines.vqa                                     # easy-VQA, as make demo runs it
    python -m pipelines.vqa --config pipelines/configs/vqa_long.toml
    python -m pipelines.vqa --config my.toml --train.epochs 3   # your own table, see pipelines/configs/vqa_table.toml
    python -m pipelines.vqa --config pipelines/configs/vqa_daquar.toml --data.source.options.folder DAQUAR
    python -m pipelines.vqa --config pipelines/configs/vqa_rad.toml --data.source.options.folder VQA_RAD
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
from typing import Any, ClassVar

from mmkeras.core.config import ModelConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated, Story
from pipelines._stages.public import fusion_gain, train_others
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story
from pipelines._stages.wups import add_wups

__all__ = ["VqaConfig", "VqaModel", "VqaStory", "main"]


@dataclass(frozen=True)
class VqaModel(ModelConfig):
    """An image and a question."""

    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class VqaConfig(StoryConfig):
    """A run of the visual question answering pipeline."""

    reads: ClassVar[tuple[str, ...]] = ("wordnet",)

    name: str = "vqa"
    """Name of the run's folder and of the saved model."""
    model: VqaModel = field(default_factory=VqaModel)
    wordnet: str = ""
    """Folder of WordNet's database files (data.noun, index.noun); with it, WUPS is measured beside the accuracy."""


_ACCURACY = {"easy_vqa": "vqa.accuracy", "daquar": "daquar.accuracy", "vqa_rad": "vqa_rad.closed"}
"""The number that a run on each source measures."""


class VqaStory(Story[VqaConfig]):
    """The common stages; records accuracy, gain of the fusion and exported files in docs/results.json."""

    def named(self, config: VqaConfig) -> str:
        """Return the first part of the numbers' names."""
        return _ACCURACY.get(config.data.source.name, "").partition(".")[0]

    def prepare(self, config: VqaConfig, console: Console) -> VqaConfig:
        """Refuse a folder that is no WordNet before the training."""
        if config.wordnet:
            from mmkeras.evaluation.wordnet import WordNet

            WordNet(Path(config.wordnet))
        return config

    def provenance(self, config: VqaConfig) -> dict[str, Any]:
        """Name the source of the data."""
        return {"source": config.data.source.name}

    def check_numbers(self, config: VqaConfig) -> None:
        """Refuse all data but the whole of easy-VQA, of DAQUAR, or of VQA-RAD's closed questions."""
        source = config.data.source
        if source.name not in _ACCURACY or config.data.limit is not None:
            raise ConfigError(
                f"--record: {', '.join(_ACCURACY.values())} are measured on the whole of a public set; expected "
                f"data.source.name {', '.join(_ACCURACY)} without data.limit, got {source.name} with "
                f"{config.data.limit}"
            )
        if source.name == "vqa_rad" and source.options.get("answers", "closed") != "closed":
            got = source.options["answers"]
            raise ConfigError(f"--record: vqa_rad.closed is measured with answers = closed, got {got}")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the accuracy on the test split in percent, and the gain over each modality alone in points."""
        name = _ACCURACY[metrics.get("provenance", {}).get("source", "easy_vqa")]
        accuracy = metrics["test"]["accuracy"]
        found = {name: Figure.percent(accuracy)}
        if name != "vqa.accuracy":
            found[f"{name.partition('.')[0]}.fusion_gain"] = fusion_gain(metrics)
        return found

    def after_evaluation(self, done: Evaluated) -> None:
        """Measure WUPS with a WordNet, and train each modality alone, where ``alone.modalities`` asks for it."""
        if done.config.wordnet:
            add_wups(done, Path(done.config.wordnet))
        train_others(done)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(VqaConfig, arguments, program=Path(__file__), description=__doc__, story=VqaStory())


if __name__ == "__main__":
    sys.exit(main())
