"""The functions and constants of a fusion's module, see `mmkeras.fusion`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from mmkeras.core.components import component

if TYPE_CHECKING:
    import keras

    from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["FusionModule", "fusion_of"]


class FusionModule(Protocol):
    """A file ``mmkeras/fusion/<name>.py``."""

    GIVES: tuple[str, ...]
    """Results for a head besides the modalities: ``pooled``, one vector per sample, and ``map``, fused tokens with a
    grid if a modality has one. Messages use it to list fusions."""

    @abstractmethod
    def fuse(self, tokens: dict[str, Tokens], **options: Any) -> Fused | None:
        """Merge modalities on Keras' functional graph with layers named ``fusion_...``.

        It takes any number of modalities in a fixed order, ignores masked tokens, and keeps the width. The keyword
        arguments of the module's function are the options that a configuration can set.

        Returns:
            The result, or None if the fusion does not merge the modalities.
        """

    def extra_outputs(self, model: keras.Model) -> Callable[[Any], dict[str, Any]] | None:
        """Return a function from a model's inputs to its outputs in training and extra ones; None by default.

        Extra outputs, for example ``<output>_alone``, have losses (`mmkeras.layers.batch`). They are not in the model's
        own graph, and so in no exported file.
        """
        del model
        return None


def fusion_of(name: str) -> FusionModule:
    """Return a fusion by its name.

    Raises:
        ConfigError: the fusion does not exist.
    """
    return component(FusionModule, "fusion", name)
