"""Keras models and weights: what is resumed, exported, or starts a branch."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mmkeras.core.errors import MmkerasError
from mmkeras.storage.files import write_json
from tests.fuzz.damage.archives import zip_of
from tests.fuzz.reader import Reader

__all__ = ["READERS"]


def _model() -> Any:
    import keras

    keras.utils.clear_session()
    inputs = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(3, activation="relu", kernel_initializer="ones", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones", name="y")(hidden), name="tiny")


def _write_model(folder: Path) -> None:
    """Write a model; its metadata tells the time, which is left out."""
    place = folder / "tiny.keras"
    _model().save(place)
    with zipfile.ZipFile(io.BytesIO(place.read_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({**metadata, "date_saved": "2026-01-01@00:00:00"}).encode()
    place.write_bytes(zip_of(members))


def _read_model(path: Path) -> object:
    from mmkeras.layers.keras_files import load_model

    return load_model(path)


def _write_checkpoint(folder: Path) -> None:
    from mmkeras.training.state import State

    place = folder / "checkpoints/step-00000010"
    place.mkdir(parents=True)
    _model().save_weights(place / "state.weights.h5")
    write_json(place / "state.json", vars(State()))


def _read_checkpoint(folder: Path) -> object:
    """Read it as `--resume` does, and as weights alone."""
    from mmkeras.layers.keras_files import load_weights
    from mmkeras.training.checkpoints import Checkpoints

    model = _kept()
    try:
        load_weights(model, folder / "checkpoints/step-00000010/state.weights.h5")
    except MmkerasError:
        return Checkpoints.load(folder, model)
    return Checkpoints.load(folder, model)


@functools.cache
def _kept() -> Any:
    """Return one model for all inputs: what an earlier one loaded does not matter."""
    model = _model()
    model.optimizer = SimpleNamespace(build=lambda variables: None)
    return model


READERS = (
    Reader("keras_model", _write_model, _read_model, share=0.06),
    Reader("checkpoint", _write_checkpoint, _read_checkpoint, whole=True, share=0.1),
)
