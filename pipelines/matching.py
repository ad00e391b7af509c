"""Image-text matching: two towers whose vectors meet, for search in both directions.

    python -m pipelines.matching --data.source.options.folder flickr8k    # photos and captions; --record: the numbers
    python -m pipelines.matching --config pipelines/configs/matching_emoji.toml --data.source.options.folder emoji
    python -m pipelines.matching --config my.toml         # own pictures: copy pipelines/configs/matching_captions.toml
    python -m pipelines.matching --demo                   # a small generated set

Image: EfficientNet-Lite0 with ImageNet weights, text: MiniLM, both frozen; each tower pools its tokens by attention.
The towers are exported by themselves, too: mmkeras index and mmkeras search use them on the device.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig, ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.matching.task import Spec
from pipelines._matching.demo import write_demo
from pipelines._stages.alone_config import ALONE, AloneConfig, StoryConfig
from pipelines._stages.contract import Evaluated, add_to_metrics
from pipelines._stages.public import PublicStory, fusion_gain
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["MatchingConfig", "MatchingModel", "MatchingStory", "SearchConfig", "main"]

_NEEDS = """Expected pictures with captions. Flickr8k (8,000 photos with five captions each, for non-commercial
research; hockenmaier.cs.illinois.edu/8k-pictures.html, Hodosh et al. 2013): its folder with the photos,
Flickr8k.token.txt and the lists of the splits. Emoji of several designers: docs/pages/pipeline-matching.md names the
npm packages. Or your own table of pictures and captions: copy pipelines/configs/matching_captions.toml. Name the
folder: --data.source.options.folder FOLDER."""
NO_MMD = "no_mmd"
"""Among the models for comparison: the same without the discrepancy."""
RERANKED = 20
"""First answers that are judged again for the recorded gain."""
SEEDS = 3
"""Trainings of each model behind the recorded gain of the discrepancy."""
_SHORT = {"text_to_image": "t2i", "image_to_text": "i2t"}


@dataclass(frozen=True)
class MatchingModel(ModelConfig):
    """A picture and a text."""

    fusion: Choice = field(default_factory=lambda: Choice("none"))
    task: Choice = field(default_factory=lambda: Choice("matching"))
    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class SearchConfig:
    """What is measured of the search beside the common evaluation."""

    rerank: int = RERANKED
    """First answers of the towers that the head for pairs judges again; needs model.task.options.pairs."""
    samples: int = 1000
    """Test samples on which the files of the towers are searched; 0 for none."""

    def __post_init__(self) -> None:
        if self.rerank < 1 or self.samples < 0:
            raise ConfigError(
                f"search: expected rerank of 1 or more and samples of 0 or more, got {self.rerank}, {self.samples}"
            )


@dataclass(frozen=True)
class MatchingConfig(StoryConfig):
    """A run of the matching pipeline."""

    others: ClassVar[tuple[str, ...]] = (NO_MMD,)

    name: str = "matching"
    """Name of the run's folder and of the saved model."""
    data: DataConfig = field(default_factory=lambda: DataConfig(Choice("flickr8k")))
    model: MatchingModel = field(default_factory=MatchingModel)
    alone: AloneConfig = field(default_factory=lambda: AloneConfig(modalities=()))
    search: SearchConfig = field(default_factory=SearchConfig)

    def variant(self, name: str) -> ModelConfig:
        """Return the model of a training of the comparison."""
        if name == NO_MMD + ALONE:
            task = Choice(self.model.task.name, {**self.model.task.options, "mmd": 0.0})
            return dataclasses.replace(self.model, task=task)
        return super().variant(name)


class MatchingStory(PublicStory[MatchingConfig]):
    """Judges the first answers again, searches with the exported towers, and records the recalls."""

    needs = _NEEDS

    def configured(self, config: MatchingConfig, flags: Mapping[str, Any]) -> MatchingConfig:
        """Return the configuration of ``--demo``, which shows the default source; see `PublicStory.configured`.

        Raises:
            ConfigError: a modality alone, which matches nothing.
        """
        if flags["demo"] and config.data.source.name != "flickr8k":
            raise ConfigError(f"--demo generates a set for the source flickr8k, not for {config.data.source.name!r}")
        if wrong := [name for name in config.alone.modalities or () if name != NO_MMD]:
            raise ConfigError(f"alone.modalities: {wrong[0]} alone matches nothing; expected none, or {NO_MMD}")
        if config.alone.modalities and not config.model.task.options.get("mmd"):
            raise ConfigError(f"alone.modalities: {NO_MMD} compares with model.task.options.mmd, which is not set")
        return super().configured(config, flags)

    def demo(self, config: MatchingConfig, folder: Path) -> None:
        """Draw shapes with captions."""
        write_demo(folder)

    def demo_config(self, config: MatchingConfig, folder: Path) -> MatchingConfig:
        """Return a small network without pretrained weights: the drawings need none, and nothing must be installed."""
        image = ImageConfig(
            size=(64, 64), architecture="edge", width_factor=0.5, depth_factor=0.3, fused_stages=3, level=3
        )
        text = TextConfig(max_length=24, layers=1, heads=4, hidden=64, intermediate=256)
        task = Choice("matching", {**config.model.task.options, "size": 64, "heads": 4, "dropout": 0.1})
        model = dataclasses.replace(config.model, width=64, image=image, text=text, task=task)
        train = dataclasses.replace(
            config.train, epochs=min(config.train.epochs, 12), batch_size=64, learning_rate=2e-3, weight_decay=0.01
        )
        return dataclasses.replace(super().demo_config(config, folder), model=model, train=train)

    def provenance(self, config: MatchingConfig) -> dict[str, Any]:
        """Name the source and its language beside the notice of generated data."""
        source = config.data.source
        about = {"source": source.name}
        if source.name == "emoji":
            about["language"] = source.options.get("language", "en")
        return {**super().provenance(config), **about}

    def named(self, config: MatchingConfig) -> str:
        """Return the first part of the names of its minutes and files."""
        source = config.data.source
        if source.name == "emoji":
            return f"matching.emoji.{source.options.get('language', 'en')}"
        plain = float(source.options.get("paired", 1.0)) == 1.0 and not config.model.task.options.get("pairs")
        return "matching" if source.name == "flickr8k" and plain else ""

    def check_numbers(self, config: MatchingConfig) -> None:
        """Refuse all but the whole of Flickr8k's dev split, and English or Chinese emoji of the designer fluent."""
        source, options = config.data.source, config.data.source.options
        flickr = source.name == "flickr8k" and options.get("measured", "dev") == "dev"
        emoji = source.name == "emoji" and options.get("held_out", "fluent") == "fluent"
        emoji = emoji and options.get("language", "en") in ("en", "zh")
        if not (flickr or emoji) or config.data.limit is not None:
            raise ConfigError(
                "--record: expected the source flickr8k with measured = dev, or emoji with held_out = fluent in en or "
                f"zh, without data.limit; got {source.name} {options}, data.limit {config.data.limit}"
            )
        paired, pairs = float(options.get("paired", 1.0)), config.model.task.options.get("pairs")
        problems = [
            (paired < 1 and not config.alone.modalities, f"paired = 1 or alone.modalities, got paired = {paired:g}"),
            (bool(config.alone.modalities) and len(config.alone.seeds) != SEEDS, f"{SEEDS} seeds in alone.seeds"),
            (bool(pairs) and emoji, "emoji without a head for pairs"),
            (bool(pairs) and config.search.rerank != RERANKED, f"search.rerank {RERANKED}, got {config.search.rerank}"),
        ]
        if wrong := [said for refused, said in problems if refused]:
            raise ConfigError(f"--record: expected the source {source.name} with {wrong[0]}")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the recalls on the test split in percent, or the gain that the configuration measures, in points."""
        about, test = metrics.get("provenance", {}), metrics["test"]
        if "alone" in metrics:
            return {"matching.mmd_gain": fusion_gain(metrics, NO_MMD)}
        if rerank := metrics.get("rerank"):
            return {"matching.rerank_gain": Figure.percent(rerank["text_to_image"]["gain"])}
        if about.get("source") == "emoji":
            return {f"matching.emoji.{about['language']}": Figure.percent(test["text_to_image_recall_1"])}
        return {
            f"matching.flickr8k.{short}_r{k}": Figure.percent(test[f"{way}_recall_{k}"])
            for way, short in _SHORT.items()
            for k in (1, 5, 10)
        }

    def after_evaluation(self, done: Evaluated) -> None:
        """Judge the first answers of the towers again, and train the models for comparison."""
        super().after_evaluation(done)
        task = done.run.task
        if not isinstance(task, Spec) or not task.pairs:
            return
        from mmkeras.evaluation.intervals import Bootstrap
        from pipelines._matching.rerank import reranked_recall, show

        settings = done.config.evaluate
        bootstrap = Bootstrap(settings.bootstrap, settings.confidence, done.config.train.seed)
        top, size = done.config.search.rerank, settings.batch_size
        found = reranked_recall(done.model, done.samples, done.run.specs, task, bootstrap, top, size)
        show(found, settings.confidence, done.console)
        add_to_metrics(done.run.folder, {"rerank": found})

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Search with every file of the towers."""
        task = done.run.task
        if not isinstance(task, Spec) or not done.config.search.samples:
            return
        from mmkeras.evaluation.intervals import Bootstrap
        from pipelines._matching.towers import measure_towers, show

        samples = done.samples.take(_whole_groups(done.samples.groups, done.config.search.samples))
        settings = done.config.evaluate
        bootstrap = Bootstrap(settings.bootstrap, settings.confidence, done.config.train.seed)
        found = measure_towers(bundle, samples, task, bootstrap)
        show(found, task, len(samples), done.console)
        add_to_metrics(done.run.folder, {"towers": found})


def _whole_groups(groups: Any, count: int) -> Any:
    """Return the positions of the first groups with together about ``count`` samples."""
    import numpy as np

    if len(groups) <= count:
        return np.arange(len(groups))
    kept = np.unique(groups[:count])
    return np.flatnonzero(np.isin(groups, kept))


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(MatchingConfig, arguments, program=Path(__file__), description=__doc__, story=MatchingStory())


if __name__ == "__main__":
    sys.exit(main())
