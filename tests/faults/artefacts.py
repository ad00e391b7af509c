"""What a stage leaves behind, as digests that can be compared, and what must not be left.

Bytes count, except where a field says when or by which process a thing was made; each is named here, with the reason:

| where | left out | why |
|---|---|---|
| names of run folders | the time in them | two runs begin at two times |
| *.json, *.html, *.md | `created`, `time`, `code_revision`, `seconds` ...; version of a bundle | they say when |
| *.keras | `date_saved`, `shared_object_id`, the zip's own times | when, and places in memory; members are compared |
| *.h5 | HDF5's layout of the file | every dataset is compared |
| hashes and sizes of such files in a manifest or card | | they follow from the above |
| place.json | all | it says in which folder a run is and was started |
| TensorBoard events, logs | all | an account of each start, with its times |
| saved_model.pb, *.onnx, variables/ | order and names of nodes, tensors | converters walk sets; what they hold counts |
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["digests", "leftovers"]

_WHEN = ("created", "time", "code_revision", "date_saved", "shared_object_id", "seconds", "version")
_FOLLOW = ("sha256", "bytes")
_HASH = re.compile(r"\b[0-9a-f]{40,64}(\+changes)?\b")
_STAMP = re.compile(r"\d{8}-\d{6}(-\d+)?")
# Read through the index; a hash of the graph; absolute paths.
_BESIDE = ("variables.data-00000-of-00001", "fingerprint.pb", "place.json")
_LOGS = ("train", "validation", "workers")
_LEFT = re.compile(r"\.tmp|\.partial|\.lock$|^\.export\.|^\.latest\.")


def digests(root: Path) -> dict[str, str]:
    """Return a digest of every artefact below a folder, by its path without times.

    Of several runs or versions the newest counts.
    """
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_symlink() or not path.is_file() or _older(root, relative):
            continue
        parts = [_STAMP.sub("<time>", part) for part in relative.parts]
        if len(parts) > 2 and parts[1].isdecimal():
            parts[1] = "<version>"
        if not any(part in _LOGS for part in parts) and path.name not in _BESIDE:
            found["/".join(parts)] = hashlib.sha256(_content(path)).hexdigest()
    return found


def leftovers(root: Path) -> list[str]:
    """Return half-written files and folders, locks, and runs that never became one."""
    left = [path for path in root.rglob("*") if _LEFT.search(path.name)]
    left += [path for path in root.glob("*/*") if _STAMP.fullmatch(path.name) and not (path / "run.json").exists()]
    return sorted(str(path.relative_to(root)) for path in left)


def _older(root: Path, relative: Path) -> bool:
    """Return whether a newer run or version stands beside the one that a file belongs to."""
    if len(relative.parts) < 3:
        return False
    name = relative.parts[1]
    beside = [each.name for each in (root / relative.parts[0]).iterdir() if each.is_dir() and not each.is_symlink()]
    if name.isdecimal():
        return int(name) < max(int(each) for each in beside if each.isdecimal())
    return bool(_STAMP.fullmatch(name)) and name < max(each for each in beside if _STAMP.fullmatch(each))


def _content(path: Path) -> bytes:
    suffix = path.suffix
    if suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text("utf-8"))), sort_keys=True).encode()
    if suffix in (".toml", ".html", ".md"):
        return _words(path.read_text("utf-8"))
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return b"".join(name.encode() + _member(name, archive.read(name)) for name in sorted(archive.namelist()))
    if suffix == ".h5":
        return _datasets(path.read_bytes())
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return b"".join(name.encode() + archive.read(name) for name in sorted(archive.namelist()))
    if path.name == "saved_model.pb":
        return _graph(path)
    if path.name == "variables.index":
        return _variables(path)
    if suffix == ".onnx":
        return _onnx(path)
    return path.read_bytes()


def _words(text: str) -> bytes:
    text = _STAMP.sub("<time>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "<time>", text)
    text = re.sub(r"\bversion \d+\b", "version <version>", text)
    text = re.sub(r"\b\d{1,3}(,\d{3})+\b", "<bytes>", text)
    return _HASH.sub("<hash>", text).encode()


def _timeless(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in _WHEN + _FOLLOW}
        return {name: _timeless(each, name) for name, each in kept.items()}
    if isinstance(value, list):
        return [_timeless(each, key) for each in value]
    if not isinstance(value, str) or key == "data_fingerprint":
        return value
    return _HASH.sub("<hash>", _STAMP.sub("<time>", value))


def _member(name: str, content: bytes) -> bytes:
    if name.endswith(".h5"):
        return _datasets(content)
    return json.dumps(_timeless(json.loads(content)), sort_keys=True).encode() if name.endswith(".json") else content


def _datasets(content: bytes) -> bytes:
    import h5py

    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            digest.update(f"{name} {item.dtype} {item.shape}".encode() + item[()].tobytes())

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(add)
    return digest.digest()


def _graph(path: Path) -> bytes:
    """Return what operators the functions of a SavedModel hold, and how many of each."""
    from collections import Counter

    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel.FromString(path.read_bytes())
    functions = (
        node.op for graph in model.meta_graphs for each in graph.graph_def.library.function for node in each.node_def
    )
    return json.dumps(sorted(Counter(functions).items())).encode()


def _variables(path: Path) -> bytes:
    """Return the values of a SavedModel's variables, in an order of their own."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path.with_suffix("")))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_CHECKPOINTABLE")]
    return b"".join(sorted(reader.get_tensor(name).tobytes() for name in names))


def _onnx(path: Path) -> bytes:
    """Return operators with their attributes, weights, inputs and outputs of an ONNX file, in orders of their own."""
    import onnx

    graph = onnx.load(path).graph
    nodes = sorted(f"{node.op_type} {sorted(str(each) for each in node.attribute)}" for node in graph.node)
    ends = [str(end) for end in (*graph.input, *graph.output)]
    return json.dumps([nodes, ends]).encode() + b"".join(sorted(each.raw_data for each in graph.initializer))
