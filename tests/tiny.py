"""The smallest real models: seconds to build, train and convert."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.modalities.document.spec import Config as DocumentConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.radar.spec import Config as RadarConfig
from mmkeras.modalities.series.spec import Config as SeriesConfig
from mmkeras.modalities.tabular.spec import Config as TabularConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.modalities.video.spec import Config as VideoConfig

ModelT = TypeVar("ModelT", bound=ModelConfig)
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


CAMERA = (64.0, 32.0, 50.0, 32.0, 12.0)
PICTURE = dataclasses.replace(IMAGE, size=(32, 64), pyramid=True)
RADAR = RadarConfig(max_points=12, camera=CAMERA, heads=2, grid=(4, 8))


@dataclass(frozen=True)
class TinyDrive(ModelConfig):
    """A camera of 64 x 32 pixels and radar points in width 16."""

    width: int = 16
    camera: ImageConfig = PICTURE
    radar: RadarConfig = RADAR


def tiny_drive_config(
    *, without: tuple[str, ...] = (), fusion_name: str = "spatial_attention", fusion: dict[str, Any] | None = None
) -> TinyDrive:
    """Return a tiny detection model's configuration."""
    options = {"heads": 2} if fusion_name == "spatial_attention" else {}
    task = Choice("detection", {"camera": list(CAMERA), "channels": 8, "max_objects": 4})
    return TinyDrive(without=without, fusion=Choice(fusion_name, {**options, **(fusion or {})}), task=task)


def tiny_drive_inputs(config: TinyDrive, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a batch of three: random pixels, radars with many, some and no points, everything present."""
    rng = np.random.default_rng(seed)
    spec = config.radar.spec("radar")
    sweeps = []
    for count in (40, 5, 0):
        points = rng.normal(size=(count, 8))
        points[:, 2] = rng.uniform(5, 50, count)
        sweeps.append(spec.preprocess(points.astype("float32")))
    return {
        "camera": rng.integers(0, 256, (3, 32, 64, 3)).astype("uint8"),
        **{name: np.stack([sweep[name] for sweep in sweeps]) for name in sweeps[0]},
        "camera_present": np.ones(3, "float32"),
        "radar_present": np.ones(3, "float32"),
    }


ROW = TabularConfig(
    numbers=("age", "weight"),
    dates=("seen",),
    categories=("sex", "ward"),
    means={"age": 50.0, "weight": 70.0, "seen": 19000.0},
    deviations={"age": 20.0, "weight": 15.0, "seen": 300.0},
    known={"sex": ("F", "M"), "ward": ("A", "B", "7")},
    layers=1,
    heads=2,
    dropout=0.0,
)


@dataclass(frozen=True)
class TinyTable(ModelConfig):
    """A picture and a row of cells in width 16."""

    width: int = 16
    fusion: Choice = field(default_factory=lambda: Choice("attention_pooling", {"heads": 2}))
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": list(LABELS)}))
    image: ImageConfig = IMAGE
    row: TabularConfig = ROW


@dataclass(frozen=True)
class TinySigns(ModelConfig):
    """A picture alone in width 16."""

    width: int = 16
    fusion: Choice = field(default_factory=lambda: Choice("attention_pooling", {"heads": 2}))
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": list(LABELS)}))
    image: ImageConfig = IMAGE


@dataclass(frozen=True)
class TinyMedical(TinyModel):
    """A picture, a text and a row of cells in width 16."""

    row: TabularConfig = ROW


@dataclass(frozen=True)
class TinyFinance(ModelConfig):
    """A series of two features and a text in width 16."""

    width: int = 16
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": list(LABELS)}))
    series: SeriesConfig = field(
        default_factory=lambda: SeriesConfig(length=12, features=2, patch=4, layers=1, heads=2, dropout=0.0)
    )
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class TinyClip(ModelConfig):
    """A clip of four frames and a text in width 16."""

    width: int = 16
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": list(LABELS)}))
    video: VideoConfig = field(
        default_factory=lambda: VideoConfig(
            frames=4, size=(32, 32), width_factor=0.25, depth_factor=0.3, level=3, heads=2, dropout=0.0
        )
    )
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class TinyMatching(ModelConfig):
    """Two towers and a head for pairs in width 16."""

    width: int = 16
    task: Choice = field(default_factory=lambda: Choice("matching", {"size": 8, "heads": 2, "pairs": 1}))
    image: ImageConfig = IMAGE
    text: TextConfig = field(default_factory=TextConfig)


ODD = dataclasses.replace(IMAGE, size=(36, 44), level=2, pyramid=True, pyramid_levels=4)


@dataclass(frozen=True)
class TinySegmentation(ModelConfig):
    """A picture of odd sides and a text that names what to find, in width 16."""

    width: int = 16
    fusion: Choice = field(default_factory=lambda: Choice("spatial_attention", {"query": "image", "heads": 2}))
    task: Choice = field(
        default_factory=lambda: Choice("segmentation", {"labels": ["sky", "road"], "prompt": "text", "channels": 8})
    )
    image: ImageConfig = ODD
    text: TextConfig = field(default_factory=TextConfig)


DOCUMENT = DocumentConfig(words=10, overlap=2, pieces=2, layers=1, heads=2, hidden=8, dropout=0.0, feature_dropout=0.0)


@dataclass(frozen=True)
class TinyDocuments(ModelConfig):
    """A page of ten words and its picture in width 16."""

    width: int = 16
    fusion: Choice = field(
        default_factory=lambda: Choice("cross_attention", {"query": "document", "heads": 2, "layers": 1})
    )
    task: Choice = field(default_factory=lambda: Choice("tags", {"labels": ["date", "total"]}))
    image: ImageConfig = IMAGE
    document: DocumentConfig = DOCUMENT


def tiny_documents_config(folder: Path) -> TinyDocuments:
    """Return a tiny model's configuration; its vocabulary file is written to the folder."""
    vocabulary = tiny_model_config(folder).text.vocabulary
    return TinyDocuments(document=dataclasses.replace(DOCUMENT, vocabulary=vocabulary))


def with_tiny_text(model: ModelT, folder: Path, fusion: str) -> ModelT:
    """Return a model with the text of `tiny_model_config` and a fusion with its own defaults."""
    options = {"heads": 2, "layers": 1} if fusion == "cross_attention" else {}
    text = tiny_model_config(folder).text
    return dataclasses.replace(model, text=text, fusion=Choice(fusion, options))  # type: ignore[call-arg]


def inputs_of(config: ModelConfig) -> dict[str, np.ndarray]:
    """Return a batch of four for any of these models: random pixels and words, probes of rows and series."""
    from mmkeras.model import modality_specs

    if isinstance(config, TinyDrive):
        return tiny_drive_inputs(config)
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for name, spec in modality_specs(config).items():
        found[spec.present.name] = np.ones(4, "float32")
        if spec.kind == "text":
            found |= {key: value for key, value in tiny_inputs().items() if key.startswith("text_")}
        elif spec.kind in ("tabular", "series", "document"):
            rows = [spec.preprocess(probe) for probe in (*spec.probes(), *spec.probes())[:4]]
            found |= {tensor.name: np.stack([row[tensor.name] for row in rows]) for tensor in spec.tensors}
        else:
            for tensor in spec.tensors:
                high = 256 if tensor.dtype == "uint8" else 2
                found[tensor.name] = rng.integers(0, high, (4, *tensor.shape)).astype(tensor.dtype)
        assert set(found) >= {tensor.name for tensor in spec.tensors}, name
    return found


def write_tiny_table(folder: Path, rows: int = 96) -> Path:
    """Write red and blue pictures with a question each and return the CSV file that lists them.

    A quarter of the rows is the test split, a quarter validation. The answer needs both: is the picture red, or blue?
    """
    import csv

    from PIL import Image

    rng = np.random.default_rng(0)
    table = folder / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "question", "answer", "side", "asked"])
        for row in range(rows):
            red, asked = rng.random() < 0.5, ("red", "blue")[rng.integers(2)]
            pixels = rng.integers(0, 60, (32, 32, 3)).astype("uint8")
            pixels[8:24, 8:24, 0 if red else 2] = 250
            Image.fromarray(pixels).save(folder / f"{row}.png")
            answer = "red" if rng.random() < 0.2 and red else ("yes" if (asked == "red") == red else "no")
            question = "what color is the shape?" if answer == "red" else f"is the shape {asked}?"
            side = ("train", "train", "validation", "test")[row % 4]
            writer.writerow([f"{row}.png", question, answer, side, asked])
    return table


def write_tiny_config(folder: Path, table: Path, extra: str = "") -> Path:
    """Write a configuration of the vqa pipeline that trains on the tiny table in seconds."""
    path = folder / "tiny.toml"
    path.write_text(
        f"""
name = "tiny"
runs = "{folder / "runs"}"
[data]
folder = "{folder / "data"}"
workers = 1
split_by_group = false
[data.source]
name = "table"
[data.source.options]
path = "{table}"
columns = {{ image = "picture", text = "question" }}
target = "answer"
split = "side"
[model]
width = 16
[model.fusion.options]
layers = 1
heads = 2
[model.image]
size = [32, 32]
width_factor = 0.25
depth_factor = 0.3
[model.text]
max_length = 12
layers = 1
heads = 2
hidden = 16
intermediate = 32
[train]
epochs = 2
batch_size = 8
deterministic = true
[evaluate]
bootstrap = 50
pictures = 3
[export]
folder = "{folder / "saved_models"}"
{extra}
""",
        encoding="utf-8",
    )
    return path
