"""The video modality: its options, and its tensors and preprocessing on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, nearest, require
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, ModalitySpec, TensorSpec
from mmkeras.modalities._config import out_of_range
from mmkeras.modalities._moves import MIRROR
from mmkeras.modalities._pictures import RESIZES, backbone_problems
from mmkeras.modalities.video.faults import FAULTS, Film, probe_clips

if TYPE_CHECKING:
    from mmkeras.media.clips.clip import Clip, RawClip

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(ModalityConfig):
    """A clip and its encoder: a backbone of pictures for every frame, and a transformer over time."""

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    apart: ClassVar[tuple[str, ...]] = ("resize", "seconds", "flip", "brightness", "contrast", "lose")
    kind: Literal["video"] = field(default="video", kw_only=True)
    """Kind of the modality."""
    frames: int = 8
    """Frames that the model receives, at equal distances in time."""
    seconds: float = 0.0
    """Length of the part of a clip that they cover: the middle of a longer clip. 0 for the whole clip."""
    size: tuple[int, int] = (112, 112)
    """Height and width that every frame is resized to."""
    resize: Literal["stretch", "letterbox", "center_crop"] = "stretch"
    """stretch ignores the aspect ratio, letterbox adds black bars, center_crop cuts the longer side."""
    architecture: str = "edge"
    """Backbone of a frame, as for pictures: edge, EfficientNetB0 to B7, EfficientNetV2B0 to B3, V2S, V2M, V2L."""
    weights: str = "none"
    """none, the path of a local weights file, or imagenet."""
    level: int = 5
    """Features are taken at stride 2**level; small frames need a finer one."""
    width_factor: float = 1.0
    """Channels of the edge architecture, as a factor."""
    depth_factor: float = 1.0
    """Layers of the edge architecture, as a factor."""
    fused_stages: int = 0
    """Number of first stages of the edge architecture with full convolutions."""
    top: bool = False
    """Append the last 1x1 convolution of the edge architecture, to 1,280 channels; needs level 5."""
    cells: tuple[int, int] = (1, 1)
    """Rows and columns that the features of a frame are averaged to. More cells keep where something is."""
    still: bool = False
    """Read only the frame in the middle: a model for comparison, which cannot see motion."""
    frozen_stages: int = 0
    """Number of stages of the backbone that keep their weights; -1 freezes the whole backbone, and the features of the
    frames are then computed once."""
    learning_rate_factor: float = 1.0
    """Learning rate of the backbone relative to the rest of the model."""
    batch_norm_momentum: float = 0.9
    """Momentum of the moving statistics; 0.99 lags behind for many epochs on small data."""
    layers: int = 1
    """Transformer layers over time."""
    heads: int = 4
    """Attention heads; they divide the model's width."""
    dropout: float = 0.1
    """Share of the features, and within the transformer, that is dropped in training."""
    flip: bool = False
    """Augmentation: mirror half of the samples left to right. Leave it off where left and right differ."""
    brightness: float = 0.0
    """Augmentation: brightness of a clip changes by up to this share of the full range."""
    contrast: float = 0.0
    """Augmentation: contrast of a clip changes by up to this factor, for example 0.2 for 0.8 to 1.2."""
    lose: float = 0.0
    """Augmentation: up to this share of the frames of a clip is lost; the frame before is repeated."""

    def __post_init__(self) -> None:
        """Check all values, with a `ConfigError` that lists the wrong ones."""
        problems = []
        if len(self.size) != 2 or any(side < 8 for side in self.size):
            problems.append(f"size: expected height and width of at least 8, got {self.size}")
        if len(self.cells) != 2 or any(side < 1 for side in self.cells):
            problems.append(f"cells: expected rows and columns of at least 1, got {self.cells}")
        if self.resize not in RESIZES:
            problems.append(f"resize: {self.resize!r} is unknown; {nearest(self.resize, RESIZES)}")
        problems += out_of_range(self, ("frames",), "2 to 256", lambda value: 2 <= value <= 256)
        problems += out_of_range(self, ("seconds",), "seconds, or 0 for all", lambda value: 0 <= value < 1e6)
        problems += out_of_range(self, ("level",), "1 to 5", lambda value: 1 <= value <= 5)
        problems += out_of_range(self, ("layers",), "0 or more", lambda value: value >= 0)
        problems += out_of_range(self, ("heads",), "1 or more", lambda value: value >= 1)
        problems += backbone_problems(self)
        shares = ("brightness", "contrast", "lose", "dropout")
        problems += out_of_range(self, shares, "0 or more and less than 1", lambda value: 0 <= value < 1)
        if problems:
            raise ConfigError("\n".join(f"video {problem}" for problem in problems))

    def untrained(self) -> Config:
        """Return the same encoder without pretrained weights."""
        return dataclasses.replace(self, weights="none")

    def augmentations(self) -> tuple[str, ...]:
        """Return the options that change the frames at random."""
        return tuple(name for name in ("flip", "brightness", "contrast", "lose") if getattr(self, name))

    def moves(self) -> dict[str, str]:
        """Return the move that ``flip`` turns on."""
        return {"flip": MIRROR} if self.flip else {}

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the spec; other modalities and facts do not change it."""
        del modalities, facts
        return Spec(name, self.frames, *self.size, self.resize, float(self.seconds))


@dataclass(frozen=True)
class Spec(ModalitySpec):
    """The frames, uint8 (T, height, width, 3), and whether each is a new one, int32 (T,).

    A slot of time without a new frame repeats the frame before, and has 0 in the second tensor.
    """

    kind: ClassVar[str] = "video"
    reads_files: ClassVar[bool] = True
    follows: ClassVar[tuple[str, ...]] = (MIRROR,)
    shapes_records: ClassVar[tuple[str, ...]] = ("frames", "height", "width", "resize", "seconds")

    frames: int = 8
    """T: slots of time."""
    height: int = 112
    """Rows of a frame."""
    width: int = 112
    """Columns of a frame."""
    resize: str = "stretch"
    """``stretch``, ``letterbox`` or ``center_crop``; bilinear, antialiased, rounded to whole levels."""
    seconds: float = 0.0
    """Length of the part of a clip that the slots cover; 0 for the whole clip."""

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The frames, under the modality's own name, and ``<name>_fresh``."""
        frames = TensorSpec(self.name, (self.frames, self.height, self.width, 3), "uint8")
        return (frames, TensorSpec(f"{self.name}_fresh", (self.frames,), "int32"))

    def preprocess(self, value: RawClip) -> dict[str, np.ndarray]:
        """Choose frames by their time, decode and resize them.

        Args:
            value: a clip in any form that `mmkeras.media.clips.clip.read_clip` lists, or a film strip of this size.

        Raises:
            DataError: the clip cannot be used; names it and the reason.
            DependencyError: Pillow is not installed, or PyAV and the clip is a video file.
        """
        frames, fresh = self.film(value)
        return {self.name: frames, f"{self.name}_fresh": fresh.astype(np.int32)}

    def film(self, value: RawClip) -> Film:
        """Return the frames, uint8 (T, height, width, 3), and which are new, bool (T,); see `preprocess`."""
        # Imported here: without Pillow a device can still run and test the model on tensors.
        require("PIL", "", "pillow")
        from mmkeras.media.clips.clip import read_clip
        from mmkeras.media.clips.strip import read_strip
        from mmkeras.media.image.resizing import resize_rgb

        strip = read_strip(value)
        if strip is not None and strip[0].shape[:3] == (self.frames, self.height, self.width):
            return strip
        found = read_clip(value, self.frames, self.seconds)
        pictures = [resize_rgb(each, self.height, self.width, self.resize) for each in found.pictures]
        return np.stack(pictures)[found.places], found.fresh

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return ``half_lost``, ``one_frozen`` and ``dark``."""
        return {name: partial(self._changed, change) for name, change in FAULTS.items()}

    def _changed(self, change: Callable[[Film], Film], value: RawClip) -> Clip:
        from mmkeras.media.clips.clip import clip_of

        return clip_of(*change(self.film(value)))

    def probes(self) -> tuple[Any, ...]:
        """Return film strips and pictures: whole, with repeated frames, and of one frame to enlarge."""
        return probe_clips(self.frames, self.height, self.width)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that also describes the tensors, for readers without mmkeras."""
        return {
            **super().to_json(),
            "channels": "RGB",
            "range": "0..255",
            "filter": "bilinear, antialiased, rounded",
            "sampling": "the frame that is visible in the middle of each of `frames` equal slots of time",
        }
