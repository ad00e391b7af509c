"""The options of the matching task. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._labels import check_share
from mmkeras.tasks.matching.task import Spec

__all__ = ["KERNELS", "LOSSES", "Config", "Spec"]

LOSSES = ("infonce", "sigmoid")
KERNELS = ("gaussian", "laplacian", "energy", "polynomial")


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the matching task."""

    towers: tuple[str, ...] = ("image", "text")
    """The two modalities that are matched. A search goes both ways."""
    size: int = 128
    """Numbers in the vector of a tower."""
    heads: int = 4
    """Attention heads that pool the tokens of a tower, and of the head for pairs; a divisor of the model's width."""
    dropout: float = 0.0
    """Share of the features dropped in training: of each token, and of the pooled vector."""
    loss: Literal["infonce", "sigmoid"] = "infonce"
    """infonce: find the partner among those of the batch (CLIP, Radford et al. 2021); sigmoid: judge each pair of the
    batch alone (SigLIP, Zhai et al. 2023)."""
    temperature: float = 0.07
    """First temperature of the loss; it is learned."""
    label_smoothing: float = 0.0
    """Share of the infonce loss that is spread over all candidates."""
    mmd: float = 0.0
    """Weight of the maximum mean discrepancy between the vectors of the two towers (Gretton et al. 2012)."""
    mmd_kernel: Literal["gaussian", "laplacian", "energy", "polynomial"] = "gaussian"
    """Kernel of the discrepancy; the first two are sums over several bandwidths."""
    pairs: int = 0
    """Cross-attention layers that judge a single pair, as a second step after the search; 0 for none."""
    hard_negatives: int = 2
    """Wrong partners of each sample that the head for pairs sees in a step, on each side: the closest of the batch."""
    pair_weight: float = 1.0
    """Weight of the loss of the head for pairs."""

    def __post_init__(self) -> None:
        """Check all values, with a `ConfigError` for a wrong one."""
        if len(self.towers) != 2 or len(set(self.towers)) != 2:
            raise ConfigError(f"towers: expected the names of two modalities, got {list(self.towers)}")
        check_share(self.dropout, "dropout")
        check_share(self.label_smoothing, "label_smoothing")
        for name, valid in (("loss", LOSSES), ("mmd_kernel", KERNELS)):
            if (value := getattr(self, name)) not in valid:
                raise ConfigError(f"{name}: {value!r} is unknown; {nearest(value, valid)}")
        for name, least in (("size", 2), ("heads", 1), ("hard_negatives", 1), ("pairs", 0)):
            if (value := getattr(self, name)) < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}")
        if not 0.001 <= self.temperature <= 1:
            raise ConfigError(f"temperature: expected 0.001 to 1, got {self.temperature}")
        for name in ("mmd", "pair_weight"):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name}: expected a weight of 0 or more, got {value}")
        if self.loss == "sigmoid" and self.label_smoothing:
            raise ConfigError("label_smoothing: expected 0 with the sigmoid loss, which has no distribution to smooth")

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec.

        Raises:
            ConfigError: the model lacks one of the modalities.
        """
        for name in self.towers if modalities else ():
            if name not in modalities:
                raise ConfigError(f"towers: the model has no modality {name!r}; {nearest(name, modalities)}")
        return Spec(tuple(self.towers), self.size, self.pairs > 0)
