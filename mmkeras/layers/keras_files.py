"""Opens untrusted Keras files: models (.keras), weights (.h5) and preset folders, without running code from them.

Keras' safe mode is on, and its input is checked before. A ``.keras`` file is a zip: it may hold the members that Keras
writes and no others, within their sizes. Its ``config.json`` names classes: of Keras, KerasHub and mmkeras, or those
that the program has registered itself; none that runs code (Lambda), unpickles, or loads another model from a path.
HDF5 files must hold their numbers themselves: links out of the file are refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from mmkeras.core.errors import DataError
from mmkeras.layers.keras_settings import use_keras

__all__ = ["check_preset", "copy_weights", "load_model", "load_weights"]

_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_MAX_CONFIG = 64 << 20
_GROWTH = 20
"""Largest ratio of the arrays' size to their file's: a larger one is a zip bomb."""
_OURS = ("mmkeras", "keras", "keras_hub", "keras_nlp")
_CLOSED = (
    "keras.utils",
    "keras.src.utils",
    "keras.saving",
    "keras.src.saving",
    "keras.config",
    "keras.src.backend.config",
)
"""Parts of Keras that fetch, write or switch off checks, and that no model needs."""
_RUNS_CODE = {
    "Lambda": "runs any code",
    "__lambda__": "runs any code",
    "TFSMLayer": "loads another model from a path",
    "TorchModuleWrapper": "unpickles",
    "JaxLayer": "runs any code",
    "FlaxLayer": "runs any code",
}
_HELP = "It is not loaded. Take a file that this project wrote, or write such a layer as a registered class."


def load_model(path: str | Path) -> keras.Model:
    """Load a ``.keras`` model without its optimizer, and let Keras compute in float32.

    Raises:
        ConfigError: Keras is set to another backend than TensorFlow.
        DataError: no such file, damaged, or one that would run code or reach out of itself.
    """
    use_keras()
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            _check_config(json.loads(archive.read("config.json")), str(path))
            _check_arrays(io.BytesIO(archive.read("model.weights.h5")), f"{path}: model.weights.h5")
        # Named in full: a program that switched safe mode off elsewhere must not switch it off here.
        model: keras.Model = keras.models.load_model(path, compile=False, safe_mode=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Expected a model that Keras saved as .keras.") from None
    except DataError:
        raise
    except Exception as error:  # zipfile, HDF5, Keras and the layers raise nearly anything on a damaged file
        raise DataError(
            f"{path}: cannot be loaded as a Keras model: {type(error).__name__}: {_short(error)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise DataError(f"{path}: expected a Keras model, got {type(model).__name__}.")
    return model


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Load weights into a model.

    Args:
        model: built as the one that the weights were saved from.
        path: a ``.weights.h5`` file, an ``.h5`` file of keras.applications, or a ``.keras`` file, of which the weights
            alone are read.

    Raises:
        DataError: no such file, damaged, of another model, or one that reaches out of itself.
    """
    path = Path(path)
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                _check_members(archive, path)
                _check_arrays(io.BytesIO(archive.read("model.weights.h5")), f"{path}: model.weights.h5")
        else:
            with path.open("rb") as stream:
                _check_arrays(stream, str(path))
        model.load_weights(str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Expected weights that Keras saved.") from None
    except DataError:
        raise
    except Exception as error:  # HDF5 and Keras raise nearly anything on a damaged file
        raise DataError(f"{path}: its weights cannot be loaded: {type(error).__name__}: {_short(error)}") from error


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of a model with the same layers.

    Normalization layers derive further numbers from their weights, which ``set_weights`` alone does not update.
    """
    target.set_weights(source.get_weights())
    for layer in target._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def check_preset(folder: str | Path) -> None:
    """Check the configurations and weights of a local KerasHub preset before it is loaded.

    Raises:
        DataError: a file that would run code, reaches out of itself, or is damaged.
    """
    for path in sorted(Path(folder).glob("*.json")):
        try:
            if path.stat().st_size > _MAX_CONFIG:
                raise DataError(f"{path}: expected a few kilobytes of JSON, got {path.stat().st_size:,} bytes.")
            value = json.loads(path.read_text("utf-8"))
            # Files in Hugging Face's layout name no class at the top: KerasHub builds no class from them.
            if isinstance(value, dict) and "class_name" in value:
                _check_config(value, str(path))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: cannot be read as JSON: {_short(error)}") from error
    for path in sorted(Path(folder).glob("*.h5")):
        with path.open("rb") as stream:
            _check_arrays(stream, str(path))


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    size = path.stat().st_size
    names = archive.namelist()
    for member in archive.infolist():
        name = member.filename
        inside = name.startswith("assets/") and ".." not in name.split("/") and "\\" not in name
        if name not in _MEMBERS and not inside:
            raise DataError(f"{path}: the member {name[:80]!r} is not one that Keras writes. {_HELP}")
        if member.file_size > _GROWTH * size + (1 << 20):
            raise DataError(f"{path}: the member {name[:80]!r} would grow to {member.file_size:,} bytes. {_HELP}")
        if names.count(name) > 1:
            raise DataError(f"{path}: the member {name[:80]!r} is there twice. {_HELP}")
    if missing := [name for name in _MEMBERS if name not in names]:
        raise DataError(f"{path}: has no {' and no '.join(missing)}; expected a model that Keras saved as .keras.")
    if archive.getinfo("config.json").file_size > _MAX_CONFIG:
        raise DataError(f"{path}: config.json has more than {_MAX_CONFIG:,} bytes. {_HELP}")


def _check_config(config: Any, where: str) -> None:
    """Refuse classes that are not Keras', ours or registered, and those that run code."""
    for value in _objects(config):
        name, module = value.get("class_name"), value.get("module")
        if name is None and module is None:
            continue
        if not isinstance(name, str) or not (module is None or isinstance(module, str)):
            raise DataError(f"{where}: expected names of a class and its module, got {name!r:.60} and {module!r:.60}.")
        if why := _RUNS_CODE.get(name.rpartition(">")[2]):
            raise DataError(f"{where}: names the class {name!r}, which {why}. {_HELP}")
        registered = value.get("registered_name")
        known = isinstance(registered, str) and keras.saving.get_registered_object(registered) is not None
        if module is None or module == "builtins" or known:
            continue
        closed = any(module == each or module.startswith(f"{each}.") for each in _CLOSED)
        if closed or module.split(".")[0] not in _OURS:
            raise DataError(
                f"{where}: names {name[:80]!r} of the module {module[:80]!r}, which is not registered, and is "
                f"no part of Keras or mmkeras that models are made of. {_HELP}"
            )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    todo = [value]
    while todo:
        inner = todo.pop()
        if isinstance(inner, dict):
            yield inner
            todo += inner.values()
        elif isinstance(inner, list):
            todo += inner


def _check_arrays(stream: Any, where: str) -> None:
    """Refuse HDF5 that leads out of its file, or that grows."""
    import h5py

    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    declared = 0
    try:
        with h5py.File(stream, "r") as file:
            todo = [file]
            while todo:
                group = todo.pop()
                for name in group:
                    link = group.get(name, getlink=True)
                    if not isinstance(link, h5py.HardLink):
                        raise DataError(f"{where}: {name[:80]!r} is a link that leads elsewhere. {_HELP}")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        todo.append(item)
                        continue
                    if item.is_virtual or item.external:
                        raise DataError(f"{where}: {name[:80]!r} keeps its numbers in another file. {_HELP}")
                    declared += item.size * item.dtype.itemsize
                    if declared > _GROWTH * size + (1 << 20):
                        raise DataError(f"{where}: its arrays would grow to more than {declared:,} bytes. {_HELP}")
    except DataError:
        raise
    except Exception as error:  # HDF5 raises nearly anything on a damaged file
        raise DataError(f"{where}: not a whole HDF5 file: {type(error).__name__}: {_short(error)}") from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
