"""Forms and receipts: tags on words with boxes and the picture of the page; key fields as strings.

    python -m pipelines.documents --data.source.options.folder funsd_r            # forms; --record: the number
    python -m pipelines.documents --config pipelines/configs/documents_cord.toml --data.source.options.folder cord_r
    python -m pipelines.documents --config pipelines/configs/documents_sroie.toml --data.source.options.folder sroie
    python -m pipelines.documents --demo                                          # generated forms, without any data

Words: the embeddings of MiniLM's word pieces, pooled to words, with shapes and places, in a transformer whose attention
knows how words stand to each other. Entities are decoded from BIO tags. Results to expect are in README.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.document.spec import Config as DocumentConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from pipelines._documents.demo import write_demo
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated
from pipelines._stages.public import PublicStory
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["DocumentsConfig", "DocumentsModel", "DocumentsStory", "main"]

_RECORDED = {"funsd_r": "tagged_pages", "cord_r": "tagged_pages", "sroie": "sroie"}
"""Source by the name of the number; `DocumentsConfig.measures` names the number of a configuration."""
FOLDS = 5
"""Of SROIE: a test split of sixteen receipts says little."""


@dataclass(frozen=True)
class DocumentsModel(ModelConfig):
    """The words of a page, and its picture."""

    image: ImageConfig = field(default_factory=ImageConfig)
    document: DocumentConfig = field(default_factory=DocumentConfig)


@dataclass(frozen=True)
class DocumentsConfig(StoryConfig):
    """A run of the documents pipeline."""

    name: str = "documents"
    """Name of the run's folder and of the saved model."""
    model: DocumentsModel = field(default_factory=DocumentsModel)
    measures: str = ""
    """The number of docs/results.json that this configuration measures: funsd_r, cord_r, sroie, or empty for none."""

    def __post_init__(self) -> None:
        if self.measures and self.measures not in _RECORDED:
            raise ConfigError(f"measures: expected {', '.join(_RECORDED)} or nothing, got {self.measures!r}")


class DocumentsStory(PublicStory[DocumentsConfig]):
    """Measures pages made harder and key fields; records the entity F1."""

    needs = """
It expects words with boxes and tags. FUNSD-r (forms) and CORD-r (receipts, without pictures): folders with .jsonl
files, from github.com/chongzhangFDU/Token-Path-Prediction-Datasets (CC BY 4.0; FUNSD's forms for non-commercial use).
SROIE (receipts with key fields): a folder with data/box, data/key and pictures, from
github.com/zzzDavid/ICDAR-2019-SROIE (research). Your own pages: .jsonl files in the same form. Name the folder:
--data.source.options.folder FOLDER.
"""

    def configured(self, config: DocumentsConfig, flags: Mapping[str, Any]) -> DocumentsConfig:
        """Return the configuration of ``--demo``, which shows the default source; see `PublicStory.configured`."""
        if flags["demo"] and config.data.source.name != "tagged_pages":
            got = config.data.source.name
            raise ConfigError(f"--demo generates pages for the source tagged_pages, not for {got!r}")
        return super().configured(config, flags)

    def demo(self, config: DocumentsConfig, folder: Path) -> None:
        """Draw forms."""
        write_demo(folder)

    def demo_config(self, config: DocumentsConfig, folder: Path) -> DocumentsConfig:
        """Return a small network without pretrained weights: nothing must be installed."""
        image = ImageConfig(size=(48, 48), architecture="edge", width_factor=0.25, depth_factor=0.3, level=3)
        document = dataclasses.replace(
            config.model.document, words=48, overlap=8, embeddings="none", hidden=48, layers=2, heads=4
        )
        model = dataclasses.replace(config.model, image=image, document=document, width=64)
        epochs = min(config.train.epochs, 15)
        train = dataclasses.replace(config.train, epochs=epochs, batch_size=16, learning_rate=3e-3)
        config = dataclasses.replace(config, model=model, train=train, measures="")
        return super().demo_config(config, folder)

    def named(self, config: DocumentsConfig) -> str:
        """Return the first part of the names of this configuration's numbers."""
        return f"documents.{config.measures}" if config.measures else ""

    def check_numbers(self, config: DocumentsConfig) -> None:
        """Refuse all but the whole of one of the three sets, and SROIE without all of its folds."""
        source = config.data.source.name
        if not config.measures or _RECORDED[config.measures] != source or config.data.limit is not None:
            raise ConfigError(
                "--record: expected the whole of FUNSD-r, CORD-r or SROIE with its configuration, got measures "
                f"{config.measures!r}, source {source} and data.limit {config.data.limit}"
            )
        if config.measures == "sroie" and config.cross_validation.folds != FOLDS:
            raise ConfigError(f"--record: expected {FOLDS} folds of SROIE: --cross_validation.folds {FOLDS}")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the entity F1 on the test split, or the F1 of the key fields, with its interval, in percent."""
        name = metrics["provenance"].get("measures")
        found = metrics.get("documents", {}).get("fields", {}).get("f1") if name == "sroie" else None
        if name == "sroie" and found is None:
            raise ConfigError("--record: expected key fields in metrics.json, got none. Start a new run")
        score = found or metrics["test"]["entity_f1"]
        return {f"documents.{name}": Figure.percent(score)}

    def provenance(self, config: DocumentsConfig) -> dict[str, Any]:
        """Name the number that the run measures."""
        return {**super().provenance(config), "measures": config.measures}

    def after_evaluation(self, done: Evaluated) -> None:
        """Train the words alone and the further folds, then score pages made harder and key fields."""
        from pipelines._documents.report import add_documents
        from pipelines._stages.stages import stage

        super().after_evaluation(done)
        with stage(done.console, "Documents"):
            add_documents(done)

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Count the entities that the exported files find otherwise."""
        from pipelines._documents.exported import changed_entities
        from pipelines._stages.stages import stage

        with stage(done.console, "Entities of the exported files"):
            changed_entities(done, bundle)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(DocumentsConfig, arguments, program=Path(__file__), description=__doc__, story=DocumentsStory())


if __name__ == "__main__":
    sys.exit(main())
