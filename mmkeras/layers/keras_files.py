"""Opens untrusted Keras files: models (.keras), weights (.h5) and preset folders, without running code from them.

Files are checked before Keras reads them in its safe mode. A ``.keras`` file is a zip archive that may contain only the
members that Keras writes. Its ``config.json`` may only name classes of Keras, KerasHub and mmkeras, and registered
classes, but none that runs code (Lambda), unpickles, or loads another model from a path. HDF5 files with links to other
files are refused.
"""

from __future__ import annotations

import contextlib
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
"""Largest ratio of the arrays' size to the file's size; a zip bomb has a larger one."""
_OURS = ("mmkeras", "keras", "keras_hub", "keras_nlp")
_CLOSED = (
    *("keras.utils", "keras.src.utils", "keras.saving", "keras.src.saving"),
    *("keras.config", "keras.src.backend.config"),
)
"""Parts of Keras that download, write or disable checks, and that no model needs."""
_RUNS_CODE = {
    "Lambda": "runs any code",
    "__lambda__": "runs any code",
    "TFSMLayer": "loads another model from a path",
    "TorchModuleWrapper": "unpickles",
    "JaxLayer": "runs any code",
    "FlaxLayer": "runs any code",
}
_HELP = "It is not loaded. Use a file that this project wrote, or a registered class in place of such a layer."


def load_model(path: str | Path) -> keras.Model:
    """Load a ``.keras`` model without its optimizer, and set Keras to float32.

    Raises:
        ConfigError: Keras is set to another backend than TensorFlow.
        DataError: the file is missing or damaged, would run code, or refers to other files.
    """
    use_keras()
    path = Path(path)
    with _any_error(f"{path}: cannot be loaded as a Keras model"):
        if not path.exists():
            raise DataError(f"{path}: no such file. Expected a model that Keras saved as .keras.")
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path)
            _check_config(json.loads(archive.read("config.json")), str(path))
        # Explicitly, because the program may have disabled safe mode elsewhere.
        model: keras.Model = keras.models.load_model(path, compile=False, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise DataError(f"{path}: expected a Keras model, got {type(model).__name__}.")
    return model


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Load weights into a model.

    Args:
        model: a model like the one whose weights were saved.
        path: a ``.weights.h5`` file, an ``.h5`` file of keras.applications, or a ``.keras`` file, of which only the
            weights are read.

    Raises:
        DataError: the file is missing or damaged, is of another model, or refers to other files.
    """
    path = Path(path)
    with _any_error(f"{path}: its weights cannot be loaded"):
        if not path.exists():
            raise DataError(f"{path}: no such file. Expected weights that Keras saved.")
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                _check_archive(archive, path)
        else:
            with path.open("rb") as stream:
                _check_arrays(stream, str(path))
        model.load_weights(str(path))


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of a model with the same layers.

    Normalization layers derive values from their weights, which ``set_weights`` does not update.
    """
    target.set_weights(source.get_weights())
    for layer in target._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def check_preset(folder: str | Path) -> None:
    """Check the configurations and weights of a local KerasHub preset before it is loaded.

    Raises:
        DataError: a file is damaged, would run code, or refers to other files.
    """
    for path in sorted(Path(folder).glob("*.json")):
        try:
            if path.stat().st_size > _MAX_CONFIG:
                raise DataError(f"{path}: expected a few kilobytes of JSON, got {path.stat().st_size:,} bytes.")
            value = json.loads(path.read_text("utf-8"))
            # Files in Hugging Face's layout have no class name at the top: KerasHub builds no class from them.
            if isinstance(value, dict) and "class_name" in value:
                _check_config(value, str(path))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: cannot be read as JSON: {_short(error)}") from error
    for path in sorted(Path(folder).glob("*.h5")):
        with path.open("rb") as stream:
            _check_arrays(stream, str(path))


@contextlib.contextmanager
def _any_error(problem: str) -> Iterator[None]:
    """Raise a DataError for every exception: zipfile, HDF5, Keras and layers raise nearly anything on damaged files."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{problem}: {type(error).__name__}: {_short(error)}") from error


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Check the members of a ``.keras`` file and its weights."""
    size = path.stat().st_size
    names = archive.namelist()
    for member in archive.infolist():
        name = member.filename
        inside = name.startswith("assets/") and ".." not in name.split("/") and "\\" not in name
        if name not in _MEMBERS and not inside:
            raise DataError(f"{path}: Keras writes no member {name[:80]!r}. {_HELP}")
        if member.file_size > _GROWTH * size + (1 << 20):
            raise DataError(f"{path}: the member {name[:80]!r} would unpack to {member.file_size:,} bytes. {_HELP}")
        if names.count(name) > 1:
            raise DataError(f"{path}: the member {name[:80]!r} occurs twice. {_HELP}")
    if missing := [name for name in _MEMBERS if name not in names]:
        raise DataError(f"{path}: has no {' and no '.join(missing)}; expected a model that Keras saved as .keras.")
    if archive.getinfo("config.json").file_size > _MAX_CONFIG:
        raise DataError(f"{path}: config.json has more than {_MAX_CONFIG:,} bytes. {_HELP}")
    _check_arrays(io.BytesIO(archive.read("model.weights.h5")), f"{path}: model.weights.h5")


def _check_config(config: Any, where: str) -> None:
    """Refuse classes that are not of Keras or mmkeras or registered, and classes that run code."""
    for value in _objects(config):
        name, module = value.get("class_name"), value.get("module")
        if name is None and module is None:
            continue
        if not isinstance(name, str) or not (module is None or isinstance(module, str)):
            raise DataError(f"{where}: expected a class name and a module name, got {name!r:.60} and {module!r:.60}.")
        if why := _RUNS_CODE.get(name.rpartition(">")[2]):
            raise DataError(f"{where}: names the class {name!r}, which {why}. {_HELP}")
        registered = value.get("registered_name")
        known = isinstance(registered, str) and keras.saving.get_registered_object(registered) is not None
        if module is None or module == "builtins" or known:
            continue
        closed = any(module == each or module.startswith(f"{each}.") for each in _CLOSED)
        if closed or module.split(".")[0] not in _OURS:
            raise DataError(
                f"{where}: names {name[:80]!r} of the module {module[:80]!r}, which is neither registered nor one of "
                f"the modules of Keras and mmkeras that models need. {_HELP}"
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
    """Refuse HDF5 with links to other files, or with arrays much larger than the file."""
    import h5py

    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    declared = 0
    with _any_error(f"{where}: damaged HDF5 file"), h5py.File(stream, "r") as file:
        todo = [file]
        while todo:
            group = todo.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise DataError(f"{where}: {name[:80]!r} is a link to another place. {_HELP}")
                item = group[name]
                if isinstance(item, h5py.Group):
                    todo.append(item)
                    continue
                if item.is_virtual or item.external:
                    raise DataError(f"{where}: {name[:80]!r} has its values in another file. {_HELP}")
                declared += item.size * item.dtype.itemsize
                if declared > _GROWTH * size + (1 << 20):
                    raise DataError(f"{where}: its arrays would unpack to more than {declared:,} bytes. {_HELP}")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
