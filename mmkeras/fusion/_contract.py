"""What a fusion's module provides, see `mmkeras.fusion`."""

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
    """What a head gets from it beyond the modalities: ``pooled``, one vector for a sample, and ``map``, fused tokens
    with a grid where a modality has one. Messages to users name fusions by it."""

    @abstractmethod
    def fuse(self, tokens: dict[str, Tokens], **options: Any) -> Fused | None:
        """Merge modalities on Keras' functional graph, from layers named ``fusion_...``.

        It takes any number of modalities in a fixed order, gives masked tokens no influence, and keeps the width. The
        module's function names its options by keyword; they are what a configuration can set.

        Returns:
            The result, or None where the modalities stay apart.
        """

    def extra_outputs(self, model: keras.Model) -> Callable[[Any], dict[str, Any]] | None:
        """Return a function from a model's inputs to its outputs in training and further ones; here None.

        A further output is for example ``<output>_alone``. Losses see them (`mmkeras.layers.batch`); the model's own
        graph, and so every exported file, is without them.
        """
        del model
        return None


def fusion_of(name: str) -> FusionModule:
    """Return a fusion by its name.

    Raises:
        ConfigError: there is no such fusion.
    """
    return component(FusionModule, "fusion", name)
