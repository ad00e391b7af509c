"""The tower of a modality in a bundle: a bundle of its own beside the whole model's, or the whole model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle
from mmkeras.core.errors import BundleError, ConfigError, DataError, nearest
from mmkeras.runtime.predictor import Predictor
from mmkeras.tasks.matching.recall import unit
from mmkeras.tasks.matching.task import Spec

__all__ = ["Tower", "identity", "modalities_of", "tower_of"]


def modalities_of(bundle: Bundle) -> tuple[str, ...]:
    """Return the modalities that a bundle gives vectors of: both of a matching model, one of a tower.

    Raises:
        ConfigError: the bundle is of another task.
    """
    if isinstance(bundle.task, Spec):
        return bundle.task.towers
    if bundle.task.kind == "embedding" and len(bundle.specs) == 1:
        return tuple(bundle.specs)
    raise ConfigError(
        f"{bundle.place}: expected a model of the task matching, or one of its towers, got the task {bundle.task.kind}"
    )


def identity(bundle: Bundle) -> dict[str, Any]:
    """Return what the vectors of a model and its towers have in common: name, version and time of training."""
    manifest = bundle.manifest
    part = manifest.provenance.get("part_of") or {}
    return {
        "name": str(part.get("name") or manifest.name),
        "version": manifest.version,
        "created": manifest.provenance.get("created"),
    }


class Tower:
    """Computes the vectors of one modality; a context manager.

    Args:
        bundle: of a matching model or a tower; it stays open.
        modality: one of `modalities_of`.
        options: ``format``, ``precision``, ``threads`` and ``device`` of `mmkeras.runtime.predictor.Predictor`.

    Raises:
        ConfigError: the bundle has no such modality.
    """

    def __init__(self, bundle: Bundle, modality: str, options: Mapping[str, Any]) -> None:
        known = modalities_of(bundle)
        if modality not in known:
            raise ConfigError(f"{bundle.place}: it has no vectors of {modality!r}; {nearest(modality, known)}")
        self.modality = modality
        self._owned = tower_of(bundle, modality)
        used = self._owned or bundle
        self._output = "embedding" if used.task.kind == "embedding" else f"{modality}_embedding"
        self._predictor = Predictor(used, **options)

    @property
    def description(self) -> str:
        """The file that runs, for messages."""
        return self._predictor.description

    def vector(self, value: Any) -> np.ndarray:
        """Return the vector float32 (size,) of length 1 of a raw value.

        Raises:
            DataError: the value cannot be read, or the model's answer is not finite.
        """
        found = self._predictor.runner.infer(self._predictor.preprocess({self.modality: value}))[self._output]
        vector = unit(np.asarray(found))[0]
        if not np.isfinite(vector).all():
            raise DataError(f"The model's vector is not finite: {str(value)[:80]}")
        return vector

    def vectors(
        self, values: Iterable[tuple[str, Any]], failed: Callable[[str, str], None]
    ) -> tuple[list[str], np.ndarray]:
        """Return names and vectors of values by name; ``failed`` is called with name and problem of the others."""
        names, found = [], []
        for name, value in values:
            try:
                found.append(self.vector(value))
                names.append(name)
            except DataError as error:
                failed(name, str(error))
        size = len(found[0]) if found else 1
        return names, np.array(found, np.float32).reshape(-1, size)

    def __enter__(self) -> Tower:
        return self

    def __exit__(self, *problem: object) -> None:
        self._predictor.close()
        if self._owned is not None:
            self._owned.close()


def tower_of(bundle: Bundle, modality: str) -> Bundle | None:
    """Open the bundle of a tower that was exported with a whole model, beside it; None if it is not there."""
    if bundle.packed or bundle.task.kind != "matching":
        return None
    own = bundle.place.resolve()
    folder = own.parent.parent / f"{bundle.manifest.name}.{modality}_tower" / own.name
    if not Path(folder).is_dir():
        return None
    tower = Bundle.open(folder)
    if identity(tower) != identity(bundle):
        tower.close()
        raise BundleError(f"{folder}: expected the {modality} tower of {bundle.place}, got one of another model")
    return tower
