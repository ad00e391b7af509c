"""Files made to run code when Keras loads them: nothing runs, and the error is ours."""

from __future__ import annotations

import ast
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError, MmkerasError, TrainingError
from mmkeras.layers.keras_files import check_preset, copy_weights, load_model, load_weights
from tests.sources import MODULES

pytestmark = pytest.mark.tfio


def _model() -> keras.Model:
    inputs = keras.Input((2,), name="x")
    return keras.Model(inputs, keras.layers.Dense(1, name="y")(inputs), name="tiny")


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file that only code from a loaded file would write."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists(), "code from the file ran"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.keras"
    _model().save(path)
    return path


def _rebuilt(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members.items():
            archive.writestr(name.removesuffix("#"), content)
    return target


def _with_layer(plain: Path, target: Path, layer: dict[str, Any]) -> Path:
    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] = {**config["config"]["layers"][1], **layer}
        members["config.json"] = json.dumps(config).encode()

    return _rebuilt(plain, target, change)


@pytest.fixture
def with_lambda(tmp_path: Path, marker: Path) -> Path:
    """A model whose Lambda layer carries bytecode, which Keras runs with safe mode off."""
    text = str(marker)
    inputs = keras.Input((2,), name="x")
    outputs = keras.layers.Lambda(lambda x: (__import__("pathlib").Path(text).touch(), x)[1])(inputs)
    path = tmp_path / "lambda.keras"
    keras.Model(inputs, outputs).save(path)
    assert marker.exists(), "building the model runs it once"
    marker.unlink()
    keras.models.load_model(path, safe_mode=False)
    assert marker.exists(), "the file is no attack"
    marker.unlink()
    return path


def test_a_plain_model_is_loaded(plain: Path):
    x = np.ones((1, 2), "float32")
    np.testing.assert_array_equal(load_model(plain)(x), keras.models.load_model(plain)(x))


def test_a_lambda_is_refused_even_where_safe_mode_is_off(with_lambda: Path):
    keras.config.enable_unsafe_deserialization()
    try:
        with pytest.raises(DataError, match=r"lambda\.keras.*'Lambda', which runs any code"):
            load_model(with_lambda)
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("os", "system", {"command": "touch {marker}"}),
        ("subprocess", "Popen", {"args": ["touch", "{marker}"]}),
        ("builtins", "eval", "open('{marker}', 'w')"),
        ("builtins", "exec", {"source": "open('{marker}', 'w')"}),
        ("keras.utils", "get_file", {"fname": "{marker}", "origin": "file:///etc/passwd"}),
        ("keras.src.utils.file_utils", "get_file", {"fname": "{marker}", "origin": "file:///etc/passwd"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.layers", "TFSMLayer", {"filepath": "{marker}"}),
        ("keras.layers", "TorchModuleWrapper", {"module": "{marker}"}),
        ("numpy", "save", {"file": "{marker}", "arr": [1]}),
    ],
)
def test_a_configuration_that_names_other_code(
    plain: Path, tmp_path: Path, marker: Path, module: str, name: str, config: Any
):
    filled = json.loads(json.dumps(config).replace("{marker}", str(marker)))
    layer = {"module": module, "class_name": name, "config": filled, "registered_name": None}
    path = _with_layer(plain, tmp_path / "named.keras", layer)
    with pytest.raises(DataError, match=r"named\.keras"):
        load_model(path)


class _Exploding:
    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.place, "w"))


def test_pickles_are_never_read(plain: Path, tmp_path: Path, marker: Path):
    code = pickle.dumps(_Exploding(str(marker)))
    for member in ("model.pkl", "model.weights.npz", "../../evil.pkl", "/tmp/evil.pkl", "assets/../../evil.pkl"):
        path = _rebuilt(plain, tmp_path / "pickle.keras", lambda m, member=member: m.update({member: code}))  # type: ignore[misc]
        with pytest.raises(DataError, match=r"Keras writes no member"):
            load_model(path)
    stored = io.BytesIO()
    np.savez(stored, weights=np.array([_Exploding(str(marker))], object))
    path = _rebuilt(plain, tmp_path / "npz.keras", lambda m: m.update({"model.weights.h5": stored.getvalue()}))
    with pytest.raises(DataError, match=r"damaged HDF5 file"):
        load_model(path)
    pickled = tmp_path / "whole.keras"
    pickled.write_bytes(code)
    with pytest.raises(DataError, match=r"whole\.keras: cannot be loaded as a Keras model"):
        load_model(pickled)
    assert not list(tmp_path.parent.glob("evil*"))


def test_members_that_grow_or_come_twice(plain: Path, tmp_path: Path):
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("assets/zeros", bytes(50 << 20))
    with pytest.raises(DataError, match=r"'assets/zeros' would unpack to 52,428,800 bytes"):
        load_model(bomb)
    twice = _rebuilt(plain, tmp_path / "twice.keras", lambda m: m.update({"config.json#": m["config.json"]}))
    with pytest.raises(DataError, match=r"'config\.json' occurs twice"):
        load_model(twice)


def _weights(path: Path, change: Callable[[h5py.File], None]) -> Path:
    _model().save_weights(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("layers/stolen", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("layers/stolen", layout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda file: file.__setitem__("layers/stolen", h5py.ExternalLink("/etc/passwd", "/")),
            "a link to another place",
        ),
        (lambda file: file.__setitem__("layers/stolen", h5py.SoftLink("/layers")), "a link to another place"),
        (_external_storage, "in another file"),
        (_virtual, "in another file"),
        (lambda file: file.create_dataset("layers/grown", (1 << 30,), "f4", chunks=(1 << 20,)), "would unpack"),
    ],
    ids=["external link", "soft link", "external storage", "virtual", "bomb"],
)
def test_weights_that_lead_out_of_their_file(
    tmp_path: Path, plain: Path, change: Callable[[h5py.File], None], said: str
):
    path = _weights(tmp_path / "x.weights.h5", change)
    with pytest.raises(DataError, match=said):
        load_weights(_model(), path)
    inside = _rebuilt(plain, tmp_path / "x.keras", lambda m: m.update({"model.weights.h5": path.read_bytes()}))
    with pytest.raises(DataError, match=said):
        load_model(inside)


def test_copied_weights_reach_what_layers_derive_from_them():
    def model() -> keras.Model:
        inputs = keras.Input((3,))
        inner = keras.Model(inputs, keras.layers.Normalization()(inputs))
        return keras.Model(inputs, keras.layers.Dense(1)(inner(inputs)))

    source, target = model(), model()
    (normalization,) = (each for each in source._flatten_layers() if isinstance(each, keras.layers.Normalization))
    normalization.adapt(np.array([[0.0, 1.0, 2.0], [4.0, 9.0, 4.0]], "float32"))
    copy_weights(source, target)
    values = np.ones((1, 3), "float32")
    np.testing.assert_array_equal(target(values), source(values))


def test_preset_folders_are_looked_at(tmp_path: Path, marker: Path):
    config = {"module": "os", "class_name": "system", "config": {"command": f"touch {marker}"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"config\.json: names 'system' of the module 'os'"):
        check_preset(tmp_path)
    from mmkeras.modalities.text.branch import build
    from mmkeras.modalities.text.spec import Config, Spec

    spec = Spec("text", 8, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "what"))
    with pytest.raises(DataError, match=r"names 'system'"):
        build(spec, Config(max_length=8, preset=str(tmp_path)), 8)


def test_every_way_to_a_model_refuses(tmp_path: Path, with_lambda: Path, marker: Path):
    """The best model of a run, the state to resume from, the weights of a branch, the doctor's subject."""
    from export.doctor.subject import open_subject
    from mmkeras.modalities.image.branch import build
    from mmkeras.modalities.image.spec import Config
    from mmkeras.training.checkpoints import Checkpoints
    from mmkeras.training.run import Run

    run = tmp_path / "run"
    run.mkdir()
    (run / "best.keras").write_bytes(with_lambda.read_bytes())
    with pytest.raises(DataError, match=r"best\.keras"):
        Run(run, {}, None, {}).model()  # type: ignore[arg-type]

    with pytest.raises(MmkerasError, match=r"Lambda"):
        open_subject(str(with_lambda), (), (), tmp_path)

    model = _model()
    model.compile("sgd")
    stolen = _weights(tmp_path / "stolen.weights.h5", _external_storage)
    checkpoint = run / "checkpoints" / "step-00000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.weights.h5").write_bytes(stolen.read_bytes())
    (checkpoint / "state.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"in another file"):
        Checkpoints.load(run, model)

    config = Config(size=(32, 32), architecture="edge", width_factor=0.25, weights=str(stolen), level=3)
    with pytest.raises(ConfigError, match=r"in another file"):
        build(config.spec("image"), config, 8)


def test_nothing_else_loads_what_could_run_code():
    """Every load of a Keras file goes through the checks, and nothing unpickles or evaluates."""
    wrong = []
    # parallel exchanges objects with processes that it started itself, through their own pipes.
    # torch_file has an unpickler that creates storages of numbers and nothing else.
    allowed = ("mmkeras.layers.keras_files", "mmkeras.core.parallel", "mmkeras.storage.torch_file")
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if module not in allowed and (found := _runs_code(node)):
                wrong.append(f"{module}: {found}")
    assert not wrong


def _runs_code(node: ast.AST) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        return next((name for name in names if name in ("pickle", "marshal", "dill", "shelve", "yaml", "joblib")), "")
    if not isinstance(node, ast.Call):
        return ""
    called = ast.unparse(node.func)
    pickled = any(each.arg == "allow_pickle" and ast.unparse(each.value) != "False" for each in node.keywords)
    unchecked = called.startswith(("keras.", "model.", "backbone.")) and called.endswith(
        (".load_model", ".load_weights")
    )
    return called if pickled or unchecked or called in ("eval", "exec", "torch.load") else ""
