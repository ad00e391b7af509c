"""The image modality: its options, and its tensor and preprocessing on the device."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, nearest, require
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, ModalitySpec, TensorSpec
from mmkeras.modalities._config import out_of_range
from mmkeras.modalities._moves import CROP, MIRROR, MOVES, SHIFT, TURN, ZOOM
from mmkeras.modalities._pictures import ARCHITECTURES, RESIZES, backbone_problems

if TYPE_CHECKING:
    from mmkeras.media.image.pixels import RawImage

__all__ = ["ARCHITECTURES", "Config", "Spec"]

DICOM = ("picture", "graph")


@dataclass(frozen=True)
class Config(ModalityConfig):
    """An image input and its encoder."""

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    apart: ClassVar[tuple[str, ...]] = (
        *("focal", "centre", "resize", "stretch_levels", "dicom"),
        *("flip", "brightness", "contrast", "translate", "rotate", "zoom", "crop", "colours", "corruption"),
    )
    kind: Literal["image"] = field(default="image", kw_only=True)
    """Kind of the modality."""
    size: tuple[int, int] = (224, 224)
    """Height and width that every image is resized to."""
    focal: float = 0.0
    """Focal length in pixels of that image, for parts that locate objects in 3D; 0 where it is unknown. A larger one
    covers a smaller part of the scene."""
    centre: tuple[float, ...] = ()
    """Column and row of the optical axis in pixels of that image; empty for the middle. It is the horizon of a level
    camera."""
    resize: Literal["stretch", "letterbox", "center_crop"] = "stretch"
    """stretch ignores the aspect ratio, letterbox adds black bars, center_crop cuts the longer side."""
    stretch_levels: bool = False
    """Stretch the levels of every image, on the device too: its darkest hundredth becomes black, its brightest white.
    For objects in the dark and in the sun; leave it off where the brightness itself tells something."""
    architecture: str = "EfficientNetB0"
    """EfficientNetB0 to B7, EfficientNetV2B0 to B3, V2S, V2M, V2L, or edge (ReLU6, no squeeze-and-excite)."""
    weights: str = "none"
    """none, the path of a local weights file, or imagenet: for the edge architecture at factors of 1 from the extra
    pretrained, for the others downloaded."""
    level: int = 5
    """Tokens are taken at stride 2**level; small images need a finer one."""
    cells: tuple[int, ...] = ()
    """Rows and columns that the features are averaged to; empty keeps all. A frozen backbone then stores few of
    them and trains fast, but where things are within a cell is lost."""
    pyramid: bool = False
    """Merge the features of this level and the next ones (a feature pyramid) into a map, as dense tasks need it."""
    pyramid_levels: int = 3
    """Levels that a pyramid merges, the finest included."""
    width_factor: float = 1.0
    """Channels of the edge architecture, as a factor."""
    depth_factor: float = 1.0
    """Layers of the edge architecture, as a factor."""
    fused_stages: int = 0
    """Number of first stages of the edge architecture with full convolutions, as in EfficientNetV2."""
    top: bool = False
    """Append the last 1x1 convolution of the edge architecture, to 1,280 channels; needs level 5."""
    feature_dropout: float = 0.0
    """Share of the backbone's normalised features dropped in training, the same ones in every token. Behind frozen
    weights it keeps few samples from being learned by heart; 0.5 is common."""
    frozen_stages: int = 0
    """Number of stages from the input that keep their weights; -1 freezes the whole backbone."""
    learning_rate_factor: float = 1.0
    """Learning rate of the backbone relative to the rest of the model; its projection is trained at the full rate."""
    batch_norm_momentum: float = 0.9
    """Momentum of the moving statistics; 0.99 lags behind for many epochs on small data."""
    position_embedding: bool = True
    """Add a learned embedding of the position to every token."""
    flip: bool = False
    """Augmentation: mirror half of the samples left to right, with masks, boxes and radar points. Texts and labels stay
    as they are: leave it off where left and right differ."""
    brightness: float = 0.0
    """Augmentation: brightness changes by up to this share of the full range."""
    contrast: float = 0.0
    """Augmentation: contrast changes by up to this factor, for example 0.2 for 0.8 to 1.2."""
    translate: float = 0.0
    """Augmentation: the image moves by up to this share of its size, masks with it; the edge pixels fill the gap."""
    rotate: float = 0.0
    """Augmentation: the image turns by up to this number of degrees either way, masks with it."""
    zoom: float = 0.0
    """Augmentation: the image grows or shrinks by up to this share about its middle, for example 0.2 for 1/1.2 to 1.2,
    masks with it."""
    crop: float = 0.0
    """Augmentation: a part of the image at a random place is enlarged to its size, masks with it; up to this share of
    height and width is cut away."""
    colours: float = 0.0
    """Augmentation: probability that red, green and blue of an image are exchanged at random, for objects that differ
    in shape and for cameras whose colours cannot be trusted."""
    corruption: float = 0.0
    """Augmentation: probability of an image in the dark, in fog, or with part of the lens covered."""
    dicom: Literal["picture", "graph"] = "picture"
    """How records hold DICOM files: as a picture of 8 bits, or with every bit of the pixels for tensorflow-io to decode
    in the graph (only with TensorFlow 2.16; an exported SavedModel then needs tensorflow-io too)."""

    def __post_init__(self) -> None:
        """Check all values, with a `ConfigError` that lists the wrong ones."""
        problems = []
        if len(self.size) != 2 or any(side < 8 for side in self.size):
            problems.append(f"size: expected height and width of at least 8, got {self.size}")
        if not 0 <= self.focal < math.inf:
            problems.append(f"focal: expected pixels, or 0 where it is unknown, got {self.focal}")
        if self.centre and not (self.focal and len(self.centre) == 2 and all(map(math.isfinite, self.centre))):
            problems.append(f"centre: expected column and row in pixels beside a focal length, got {self.centre}")
        for name, valid in (("resize", RESIZES), ("dicom", DICOM)):
            if (value := getattr(self, name)) not in valid:
                problems.append(f"{name}: {value!r} is unknown; {nearest(value, valid)}")
        if self.pyramid and self.feature_dropout:
            problems.append("feature_dropout: expected 0 with a pyramid, which merges the features of several levels")
        if self.cells and (self.pyramid or len(self.cells) != 2 or any(side < 1 for side in self.cells)):
            problems.append(f"cells: expected two numbers of at least 1, and no pyramid, got {self.cells}")
        if not 2 <= self.pyramid_levels <= 5:
            problems.append(f"pyramid_levels: expected 2 to 5, got {self.pyramid_levels}")
        highest = max(6 - self.pyramid_levels, 1) if self.pyramid else 5
        if not 1 <= self.level <= highest:
            problems.append(f"level: expected 1 to {highest}, got {self.level}")
        problems += backbone_problems(self)
        problems += out_of_range(self, ("rotate",), "degrees from 0 to 180", lambda value: 0 <= value <= 180)
        problems += out_of_range(self, ("colours",), "0 to 1", lambda value: 0 <= value <= 1)
        shares = ("brightness", "contrast", "translate", "zoom", "crop", "corruption", "feature_dropout")
        problems += out_of_range(self, shares, "0 or more and less than 1", lambda value: 0 <= value < 1)
        if problems:
            raise ConfigError("\n".join(f"image {problem}" for problem in problems))

    def untrained(self) -> Config:
        """Return the same encoder without pretrained weights."""
        return dataclasses.replace(self, weights="none")

    def augmentations(self) -> tuple[str, ...]:
        """Return the options that change pixels at random."""
        options = ("flip", "brightness", "contrast", "translate", "rotate", "zoom", "crop", "colours", "corruption")
        return tuple(name for name in options if getattr(self, name))

    def moves(self) -> dict[str, str]:
        """Return the moves that the options turn on, by option."""
        moves = {"flip": MIRROR, "translate": SHIFT, "rotate": TURN, "zoom": ZOOM, "crop": CROP}
        return {option: move for option, move in moves.items() if getattr(self, option)}

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the spec; other modalities and facts do not change it."""
        del modalities, facts
        height, width = self.size
        camera: tuple[float, ...] = ()
        if self.focal:
            centre = self.centre or (width / 2, height / 2)
            camera = (float(width), float(height), float(self.focal), *map(float, centre))
        grid = tuple(-(-side // 2**self.level) for side in self.size) if self.pyramid else ()
        return Spec(name, height, width, self.resize, self.dicom, camera, grid, self.stretch_levels)


@dataclass(frozen=True)
class Spec(ModalitySpec):
    """One uint8 RGB tensor (height, width, 3), 0..255; the model normalises it."""

    kind: ClassVar[str] = "image"
    reads_files: ClassVar[bool] = True
    follows: ClassVar[tuple[str, ...]] = MOVES
    shapes_records: ClassVar[tuple[str, ...]] = ("dicom",)

    height: int = 224
    """Rows of the model input."""
    width: int = 224
    """Columns of the model input."""
    resize: str = "stretch"
    """``stretch``, ``letterbox`` or ``center_crop``; bilinear, antialiased, rounded to whole levels."""
    dicom: str = "picture"
    """``graph`` if records and the SavedModel's raw endpoint may hold DICOM files, else ``picture``."""
    camera: tuple[float, ...] = ()
    """Width, height, focal length and centre of the camera, in pixels; empty where it is unknown."""
    grid: tuple[int, ...] = ()
    """Rows and columns of the feature map; empty without a pyramid."""
    stretch_levels: bool = False
    """Whether the darkest hundredth of the image becomes black and the brightest white, before it is resized: resized
    images differ by a level between host and graph."""

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The pixels, under the modality's own name."""
        return (TensorSpec(self.name, (self.height, self.width, 3), "uint8"),)

    def preprocess(self, value: RawImage) -> dict[str, np.ndarray]:
        """Decode and resize one image to uint8 (height, width, 3).

        Raises:
            DataError: the image cannot be used; names it and the reason.
            DependencyError: Pillow is not installed.
        """
        # Imported here: without Pillow a device can still run and test the model on tensors.
        require("PIL", "", "pillow")
        from PIL import Image

        from mmkeras.media.image.levels import stretch_levels
        from mmkeras.media.image.pixels import read_rgb
        from mmkeras.media.image.resizing import resize_rgb

        image = read_rgb(value)
        if self.stretch_levels:
            image = Image.fromarray(stretch_levels(np.asarray(image)))
        return {self.name: resize_rgb(image, self.height, self.width, self.resize)}

    def probes(self) -> tuple[Any, ...]:
        """Return pictures with strong colours and edges, larger and smaller than the model's input."""
        from mmkeras.modalities.image.probes import probe_pictures

        return probe_pictures(self.height, self.width)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that also describes the tensor, for readers without mmkeras."""
        return {
            **super().to_json(),
            "channels": "RGB",
            "range": "0..255",
            "filter": "bilinear, antialiased, rounded",
            "exif_orientation": "applied",
            "transparency": "blended over white",
        }
