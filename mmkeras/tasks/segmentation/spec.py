"""Segmentation: its options, and the `Spec` of `mmkeras.tasks.segmentation.task`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._labels import as_labels, check_gamma, check_share
from mmkeras.tasks.segmentation.masks import NOT_ASKED, as_colour
from mmkeras.tasks.segmentation.task import Spec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the segmentation task."""

    labels: tuple[str, ...] = ()
    """The classes; a mask of numbers holds their places in this list, from 0."""
    colours: tuple[str, ...] = ()
    """#rrggbb of each label, for masks of colours; empty for masks of numbers."""
    void: tuple[int, ...] = (255,)
    """Numbers of pixels without a class: they are ignored in training and in the metrics."""
    void_colours: tuple[str, ...] = ()
    """#rrggbb of pixels without a class, for masks of colours."""
    prompt: str = ""
    """Modality with a text that names what to find: the answer is the mask of the named classes, and without a text
    that of all classes. Empty for all classes."""
    size: tuple[int, ...] = ()
    """Height and width of the masks; empty takes them from the picture."""
    least_share: float = 0.0005
    """Smallest part of the picture that counts as found where a text names it; smaller ones are left out."""
    edge_reach: float = 0.0075
    """Distance within which an edge counts as found, as a share of the picture's diagonal."""
    channels: int = 64
    """Channels of the head's convolutions."""
    convolutions: int = 1
    """Separable 3x3 convolutions before the last layer."""
    dropout: float = 0.1
    """Share of the features dropped before the last layer in training."""
    focal_gamma: float = 0.0
    """Focusing exponent of the focal loss (2 is common); 0 is plain cross-entropy."""
    dice_weight: float = 0.0
    """Weight of the dice loss, which counts small classes like large ones; the cross-entropy's is 1."""
    balance: float = 0.0
    """Weights of classes in the loss: (median share of pixels / share of the class) to this power. 1 is median
    frequency balancing (Eigen and Fergus 2015), 0 weighs all pixels alike."""
    pixel_shares: tuple[float, ...] = ()
    """Share of each class among the training pixels, for the balance; empty takes it from the data."""

    def __post_init__(self) -> None:
        for field in ("labels", "colours", "void", "void_colours", "size", "pixel_shares"):
            if isinstance(getattr(self, field), list):
                object.__setattr__(self, field, tuple(getattr(self, field)))
        object.__setattr__(self, "labels", as_labels(self.labels, "labels"))
        check_share(self.dropout, "dropout")
        check_share(self.least_share, "least_share")
        check_gamma(self.focal_gamma)
        problems = []
        if len(self.labels) > NOT_ASKED - 2:
            problems.append(f"labels: expected at most {NOT_ASKED - 2}, got {len(self.labels)}")
        if len(self.colours) not in (0, len(self.labels)):
            problems.append(f"colours: expected one for each of {len(self.labels)} labels, got {len(self.colours)}")
        for field in ("colours", "void_colours"):
            try:
                given = [as_colour(colour) for colour in getattr(self, field)]
            except ValueError as error:
                problems.append(f"{field}: {error}")
            else:
                if len(set(given)) < len(given):
                    problems.append(f"{field}: expected distinct colours, got {list(getattr(self, field))}")
        if wrong := [number for number in self.void if 0 <= number < len(self.labels)]:
            problems.append(f"void: {wrong} are numbers of labels. Expected other numbers")
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            problems.append(f"size: expected height and width, got {self.size}")
        if self.pixel_shares and len(self.pixel_shares) != len(self.labels):
            problems.append(f"pixel_shares: expected one for each of {len(self.labels)} labels")
        problems += [
            f"{field}: expected 0 or more, got {getattr(self, field)!r}"
            for field in ("edge_reach", "dice_weight", "balance", "convolutions")
            if not 0 <= getattr(self, field) < np.inf
        ]
        if self.channels < 1:
            problems.append(f"channels: expected at least 1, got {self.channels}")
        if problems:
            raise ConfigError("\n".join(problems))

    def completed(self, facts: Facts) -> Config:
        """Return this configuration with the shares of the classes among the training pixels, if they are needed.

        Raises:
            ConfigError: a class without a pixel in the training split.
        """
        if not self.balance or self.pixel_shares or facts.targets is None:
            return self
        counts = np.zeros(len(self.labels))
        for batch in facts.targets():
            counts += np.bincount(batch.reshape(-1) % NOT_ASKED, minlength=NOT_ASKED)[: len(self.labels)]
        if empty := [label for label, count in zip(self.labels, counts, strict=True) if not count]:
            raise ConfigError(
                f"labels: no training mask has a pixel of {', '.join(empty)}. Leave them out, or set balance to 0"
            )
        return dataclasses.replace(self, pixel_shares=tuple((counts / counts.sum()).tolist()))

    def class_weights(self) -> tuple[float, ...]:
        """Return the weight of each label in the loss."""
        if not self.balance or not self.pixel_shares:
            return (1.0,) * len(self.labels)
        shares = np.array(self.pixel_shares)
        return tuple(((np.median(shares) / shares) ** self.balance).tolist())

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, with the size of the first picture unless it is given here.

        Raises:
            ConfigError: fewer than two labels (one with a prompt), or no size.
        """
        if len(self.labels) < (1 if self.prompt else 2):
            raise ConfigError(f"labels: segmentation needs at least two, or one with a prompt; got {list(self.labels)}")
        picture = next((each for each in modalities.values() if each.kind == "image"), None)
        size = self.size or tuple(picture.tensors[0].shape[:2] if picture else ())
        if not size:
            raise ConfigError("size: the model has no picture to take the size of the masks from. Set size")
        return Spec(
            labels=self.labels,
            colours=self.colours,
            void=self.void,
            void_colours=self.void_colours,
            prompt=self.prompt,
            height=int(size[0]),
            width=int(size[1]),
            resize=str(getattr(picture, "resize", "stretch")),
            least_share=float(self.least_share),
            edge_reach=float(self.edge_reach),
        )
