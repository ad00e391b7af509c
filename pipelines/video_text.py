"""Clips with texts: is a statement true of a clip, what happens in a clip, what does a speaker feel?

    python -m pipelines.video_text                              # simulated clips with statements
    python -m pipelines.video_text --config pipelines/configs/video_text_fight.toml --data.source.options.folder DIR
    python -m pipelines.video_text --config my.toml             # your own table, see configs/video_text_table.toml
    python -m pipelines.video_text --record                     # also write the numbers into docs/results.json

Video: a backbone of pictures for every frame, and a transformer over their changes. Text: a BERT encoder. Fusion: the
product of clip and text, for answers that depend on whether they agree. Results to expect are in README.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.driving.simulation.clips import NOTE, ClipsConfig, simulate_clips
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.modalities.video.spec import Config as VideoConfig
from pipelines._stages.alone_config import ALONE, StoryConfig
from pipelines._stages.contract import Evaluated, Story
from pipelines._stages.public import fusion_gain, train_others
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["VideoTextConfig", "VideoTextModel", "VideoTextStory", "main"]

NOTICE = "Simulated clips: the numbers compare models with each other and say nothing about real roads."
FOLDS = 5
"""Of the published clips: a test split of 60 clips from a few videos says little."""
ONE_FRAME = "one_frame"
"""Among the models for comparison: all inputs, but of the clip only the frame in the middle."""


@dataclass(frozen=True)
class VideoTextModel(ModelConfig):
    """A clip and a text."""

    video: VideoConfig = field(default_factory=VideoConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class VideoTextConfig(StoryConfig):
    """A run of the video and text pipeline."""

    others: ClassVar[tuple[str, ...]] = (ONE_FRAME,)

    name: str = "video_text"
    """Name of the run's folder and of the saved model."""
    simulate: ClipsConfig = field(default_factory=ClipsConfig)
    model: VideoTextModel = field(default_factory=VideoTextModel)

    @property
    def simulated(self) -> bool:
        """Whether the clips come from the simulator."""
        folder = Path(self.data.source.options.get("folder") or "clips-")
        return self.data.source.name == "statements" and (folder.name.startswith("clips-") or (folder / NOTE).is_file())

    def variant(self, name: str) -> ModelConfig:
        """Return the model of a training of the comparison."""
        if name == ONE_FRAME + ALONE:
            return dataclasses.replace(self.model, video=dataclasses.replace(self.model.video, still=True))
        return super().variant(name)


class VideoTextStory(Story[VideoTextConfig]):
    """Simulates the clips before the common stages, and trains the models for comparison after them."""

    needs = """Without a configuration, clips are simulated. fight_video: a folder with labels.csv (file, label,
source_video) and clips/; see configs/video_text_fight.toml. Your own clips: a table with a column of video files or
folders of pictures, one of texts such as transcripts, and one to predict; see configs/video_text_table.toml."""

    def prepare(self, config: VideoTextConfig, console: Console) -> VideoTextConfig:
        """Simulate the clips, unless the source names a folder."""
        options = config.data.source.options
        if config.data.source.name != "statements" or options.get("folder"):
            return config
        identity = json.dumps(config.simulate.identity, sort_keys=True)
        folder = Path(config.data.folder) / f"clips-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        simulate_clips(config.simulate, folder, console)
        source = Choice(config.data.source.name, {**options, "folder": str(folder)})
        return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))

    def provenance(self, config: VideoTextConfig) -> dict[str, Any]:
        """Mark simulated numbers as simulated, and name the source."""
        notice = {"notice": NOTICE} if config.simulated else {}
        return {**notice, "source": config.data.source.name}

    def named(self, config: VideoTextConfig) -> str:
        """Return the first part of the numbers' names."""
        return "video_text" if config.simulated else ""

    def check_numbers(self, config: VideoTextConfig) -> None:
        """Refuse other clips than the simulated ones and those of fight_video, and a part of them."""
        known = config.simulated or config.data.source.name == "fight_video"
        if not known or config.data.limit is not None:
            raise ConfigError("--record: expected the simulated clips or fight_video, without data.limit")
        if config.data.source.name == "fight_video" and config.cross_validation.folds != FOLDS:
            raise ConfigError(f"--record: expected {FOLDS} folds of fight_video: --cross_validation.folds {FOLDS}")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the accuracy on the test split, and gains over the models for comparison, in percent."""
        if metrics.get("provenance", {}).get("source") == "fight_video":
            name, accuracy = "fight", metrics["folds"]["score"]
        else:
            name, accuracy = "statements", metrics["test"]["accuracy"]
        found = {f"video_text.{name}": Figure.percent(accuracy)}
        compared = (metrics.get("alone") or {}).get("modalities", {})
        gains = {"video_text.fusion_gain": "text", "video_text.motion_gain": ONE_FRAME}
        return found | {name: fusion_gain(metrics, other) for name, other in gains.items() if other in compared}

    def after_evaluation(self, done: Evaluated) -> None:
        """Train each modality alone, and a model that sees one frame."""
        train_others(done)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(VideoTextConfig, arguments, program=Path(__file__), description=__doc__, story=VideoTextStory())


if __name__ == "__main__":
    sys.exit(main())
