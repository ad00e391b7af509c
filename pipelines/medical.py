"""Medical pictures with their text and the patient's data: a finding, or the part of the body.

    python -m pipelines.medical --data.source.options.folder medpix2    # the part of the body; --record: the numbers
    python -m pipelines.medical --config pipelines/configs/medical_device.toml --data.source.options.folder medpix2
    python -m pipelines.medical --config pipelines/configs/medical_covid.toml --data.source.options.folder covid_cxr
    python -m pipelines.medical --config my.toml        # own DICOM files: copy pipelines/configs/medical_dicom.toml
    python -m pipelines.medical --demo                  # a small generated set
    python -m pipelines.medical --demo --config pipelines/configs/medical_tags.toml    # tags on the words of reports

Image: EfficientNet-Lite0 with ImageNet weights, text: MiniLM, both frozen; age and sex: a token for each column.
Fusion: one learned query attends to all tokens. Confidences are calibrated on the validation split, and answers are
withheld below a confidence that is chosen there. None of this is a medical device.
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
from mmkeras.modalities.tabular.spec import Config as TabularConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._medical.demo import write_demo
from pipelines._medical.reports import write_reports
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated
from pipelines._stages.public import PublicStory, fusion_gain
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["AbstainConfig", "MedicalConfig", "MedicalModel", "MedicalStory", "main"]

_NEEDS = """Expected pictures, texts and data of patients. MedPix 2.0 (671 cases, 2,050 CT and MR pictures;
github.com/CHILab1/MedPix-2.0, no licence stated, pictures open to teaching and research): its folder with images.jsonl,
cases.jsonl and images/. COVID-19 Image Data Collection (github.com/ieee8023/covid-chestxray-dataset, licence by row,
mostly CC BY-NC-SA): its folder with metadata.csv. Or your own DICOM files: copy pipelines/configs/medical_dicom.toml.
Name the folder: --data.source.options.folder FOLDER."""


@dataclass(frozen=True)
class MedicalModel(ModelConfig):
    """A picture, a text, and data of the patient."""

    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)
    row: TabularConfig = field(default_factory=TabularConfig)


@dataclass(frozen=True)
class AbstainConfig:
    """When the model withholds its answer."""

    most_risk: float = 0.1
    """Share of wrong answers that is accepted among those that are given; the confidence for it is chosen on the
    validation split."""

    def __post_init__(self) -> None:
        if not 0 <= self.most_risk < 1:
            raise ConfigError(f"abstain.most_risk: expected a share of at least 0 and below 1, got {self.most_risk}")


@dataclass(frozen=True)
class MedicalConfig(StoryConfig):
    """A run of the medical pipeline."""

    name: str = "medical"
    """Name of the run's folder and of the saved model."""
    model: MedicalModel = field(default_factory=MedicalModel)
    abstain: AbstainConfig = field(default_factory=AbstainConfig)


class MedicalStory(PublicStory[MedicalConfig]):
    """The common stages, calibration and abstention; records the location of MedPix 2.0."""

    needs = _NEEDS

    def configured(self, config: MedicalConfig, flags: Mapping[str, Any]) -> MedicalConfig:
        """Return the configuration of ``--demo``, which shows the default source, or reports with tagged words."""
        if flags["demo"] and config.data.source.name != "medpix2" and not _tags_words(config):
            raise ConfigError(f"--demo generates a set for the source medpix2, not for {config.data.source.name!r}")
        return super().configured(config, flags)

    def demo(self, config: MedicalConfig, folder: Path) -> None:
        """Write drawn sections with histories, or reports with tagged words."""
        (write_reports if _tags_words(config) else write_demo)(folder)

    def demo_config(self, config: MedicalConfig, folder: Path) -> MedicalConfig:
        """Return a small network without pretrained weights: the drawings need none, and nothing must be installed."""
        image = ImageConfig(
            size=(64, 64), architecture="edge", width_factor=0.5, depth_factor=0.3, fused_stages=3, level=3
        )
        pooling = config.model.text.pooling if _tags_words(config) else "none"
        text = TextConfig(max_length=24, layers=1, heads=4, hidden=64, intermediate=256, pooling=pooling)
        model = dataclasses.replace(config.model, image=image, text=text)
        train = dataclasses.replace(config.train, epochs=min(config.train.epochs, 12), weight_decay=0.01)
        if _tags_words(config):
            source = Choice("table", {**config.data.source.options, "path": str(folder / "reports.jsonl")})
            config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))
        else:
            config = super().demo_config(config, folder)
        return dataclasses.replace(config, model=model, train=train)

    def named(self, config: MedicalConfig) -> str:
        """Return the first part of the numbers' names: those of the location alone."""
        return "medical" if _is_location(config) else ""

    def check_numbers(self, config: MedicalConfig) -> None:
        """Refuse all but the location on the whole of MedPix 2.0, with every modality."""
        if not _is_location(config) or config.data.limit is not None or config.model.without:
            source = config.data.source
            raise ConfigError(
                "--record: the numbers are those of the location on the whole of MedPix 2.0 with all modalities; got "
                f"source {source.name} {source.options}, data.limit {config.data.limit}, model.without "
                f"{list(config.model.without)}"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the accuracy on the test split, and the gain over the best modality alone, with their intervals."""
        accuracy = metrics["test"]["accuracy"]
        return {
            "medical.location": Figure.percent(accuracy),
            "medical.fusion_gain": fusion_gain(metrics),
        }

    def after_evaluation(self, done: Evaluated) -> None:
        """Calibrate and choose when to abstain, then train each modality alone and compare."""
        if done.run.task.kind == "classification":
            from pipelines._medical.abstain import calibrate

            calibrate(done, done.config.abstain.most_risk)
        else:
            text = "Abstention is measured for one label out of several only; the report has the calibration."
            done.console.print(text, style="dim", highlight=False, soft_wrap=True)
        super().after_evaluation(done)


def _tags_words(config: MedicalConfig) -> bool:
    return config.model.task.name == "tags"


def _is_location(config: MedicalConfig) -> bool:
    source = config.data.source
    return source.name == "medpix2" and source.options.get("target", "location") == "location"


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(MedicalConfig, arguments, program=Path(__file__), description=__doc__, story=MedicalStory())


if __name__ == "__main__":
    sys.exit(main())
