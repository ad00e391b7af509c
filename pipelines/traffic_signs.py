"""Traffic signs: a picture of one sign in, its class out.

    python -m pipelines.traffic_signs --demo                                      # drawn signs, without any data
    python -m pipelines.traffic_signs --data.source.options.folder GTSRB          # the unpacked dataset
    python -m pipelines.traffic_signs --config my.toml                            # see configs/traffic_signs_table.toml
    python -m pipelines.traffic_signs --resume                                    # continue after Ctrl-C or a crash
    python -m pipelines.traffic_signs --data.source.options.folder GTSRB --record # also write docs/results.json

An EfficientNet without squeeze-and-excite, trained from scratch: features of ImageNet do not read signs. The pictures
of a track show the same sign, so a track is never divided between splits. Results to expect are in README.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mmkeras.core.config import ModelConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.core.terminal import utf8_program
from mmkeras.data.sources.gtsrb import LIMITS
from mmkeras.modalities.image.spec import Config as ImageConfig
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated
from pipelines._stages.public import PublicStory
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

if TYPE_CHECKING:
    from mmkeras.data.index import Index

__all__ = ["TrafficSignsConfig", "TrafficSignsModel", "TrafficSignsStory", "among_limits", "main"]

OTHERS = "another sign"


@dataclass(frozen=True)
class TrafficSignsModel(ModelConfig):
    """A picture of a sign."""

    image: ImageConfig = field(default_factory=ImageConfig)


@dataclass(frozen=True)
class TrafficSignsConfig(StoryConfig):
    """A run of the traffic sign pipeline."""

    name: str = "traffic_signs"
    """Name of the run's folder and of the saved model."""
    model: TrafficSignsModel = field(default_factory=TrafficSignsModel)


class TrafficSignsStory(PublicStory[TrafficSignsConfig]):
    """Reports the balance of classes and leaks before the training, and the confusions of speed limits after it."""

    needs = """
It expects the German Traffic Sign Recognition Benchmark (GTSRB), unpacked: GTSRB_Final_Training_Images.zip and, for the
official test split, GTSRB_Final_Test_Images.zip with GTSRB_Final_Test_GT.zip, from
https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/published-archive.html. Free for research; cite
Stallkamp et al. 2012. Name the folder: --data.source.options.folder GTSRB
"""

    def demo(self, config: TrafficSignsConfig, folder: Path) -> None:
        """Draw eight classes of signs."""
        from pipelines._traffic_signs.demo import write_signs

        write_signs(folder)

    def after_data(self, config: TrafficSignsConfig, index: Index, console: Console) -> None:
        """Show signs, tracks and classes of each split.

        Raises:
            DataError: a track of GTSRB is in two splits.
        """
        from mmkeras.data.read import iterate_samples

        table = Table(title="Signs by split", title_justify="left")
        for heading in ("split", "signs", "tracks", "classes", "smallest class", "largest class"):
            table.add_column(heading, justify="left" if heading == "split" else "right")
        found: dict[str, str] = {}
        for name, split in index.splits.items():
            samples = [(sample.key, sample.group) for sample in iterate_samples(index, name)]
            if config.data.source.name == "gtsrb":
                _check_tracks(found, name, {key.rpartition("_")[0] for key, _ in samples})
            counts = sorted((count, label) for label, count in split.classes.items() if count)
            ends = [f"{label}: {count}" for count, label in (counts[0], counts[-1])]
            tracks = len({group for _, group in samples})
            table.add_row(name, str(len(samples)), str(tracks), str(len(counts)), *ends)
        console.print(table)

    def named(self, config: TrafficSignsConfig) -> str:
        """Return the first part of the numbers' names."""
        return "traffic_signs"

    def check_numbers(self, config: TrafficSignsConfig) -> None:
        """Refuse all data but a whole GTSRB folder, split by track."""
        data = config.data
        if data.source.name != "gtsrb" or data.limit is not None or not data.split_by_group:
            raise ConfigError(
                "--record: traffic_signs.accuracy is measured on GTSRB by track; expected data.source.name gtsrb, "
                f"data.split_by_group and no data.limit, got {data.source.name}, {data.split_by_group} and {data.limit}"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the accuracy on the test split with its interval over tracks, in percent."""
        accuracy = metrics["test"]["accuracy"]
        return {"traffic_signs.accuracy": Figure.percent(accuracy)}

    def after_evaluation(self, done: Evaluated) -> None:
        """Draw the confusions of the speed limits, which differ in their digits alone."""
        from mmkeras.evaluation.pictures import confusion_figure, figure_to_png
        from mmkeras.evaluation.report import write_report
        from mmkeras.storage.files import write_bytes

        super().after_evaluation(done)
        metrics = json.loads((done.run.folder / "metrics.json").read_text("utf-8"))
        if limits := among_limits(metrics["confusion"] or {}):
            figure = confusion_figure(limits, title="Speed limits")
            write_bytes(done.run.folder / "pictures" / "speed_limits.png", figure_to_png(figure))
            write_report(done.run.folder)


def _check_tracks(found: dict[str, str], split: str, tracks: set[str]) -> None:
    """Note the tracks of a split; refuse those that another split has too."""
    for track in sorted(tracks):
        if found.setdefault(track, split) != split:
            raise DataError(
                f"track {track} is in the splits {found[track]} and {split}. The pictures of a track show the same "
                "sign, so scores would be too good. Delete the converted data, and keep data.split_by_group"
            )


def among_limits(confusion: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the part of a confusion matrix on speed limits, with all other signs as one class.

    None if the classes hold fewer than two speed limits.
    """
    names = list(confusion.get("labels", ()))
    limits = [name for name in LIMITS if name in names]
    if len(limits) < 2:
        return None
    matrix = np.asarray(confusion["matrix"], np.int64)
    member = np.array([[name == limit for name in names] for limit in limits])
    member = np.concatenate([member, ~member.any(axis=0, keepdims=True)]).astype(np.int64)
    return {"labels": [*limits, OTHERS], "matrix": (member @ matrix @ member.T).tolist()}


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(
        TrafficSignsConfig, arguments, program=Path(__file__), description=__doc__, story=TrafficSignsStory()
    )


if __name__ == "__main__":
    sys.exit(main())
