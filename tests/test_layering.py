"""Reads every import and holds it to the dependency direction, which follows from the folders."""

from __future__ import annotations

import fnmatch

import pytest

from tests.imports import circles, closure, imports, reach
from tests.sources import MODULES

HEAVY = ("tensorflow", "tensorflow_text", "keras", "keras_nlp", "keras_hub", "tf2onnx", "torch", "jax")

# Who may import whom: each folder imports from itself and from what stands below it. In the folder of a modality or a
# task, `specs` are spec.py, picture.py and what they import there; `parts` is all else: records, branch, head.
BELOW = {
    "core": (),
    "storage": ("core",),
    "media": ("storage",),
    "specs": ("media",),
    "bundle": ("specs",),
    "runtime": ("bundle",),
    "layers": ("storage",),
    "parts": ("specs", "layers"),
    "fusion": ("media", "layers"),
    "model": ("parts", "fusion"),
    "data": ("parts",),
    "training": ("model", "data"),
    "evaluation": ("model", "data"),
    "driving": ("runtime", "evaluation"),
    "export": ("runtime", "training", "evaluation"),
    "pipelines": ("export",),
    "tests": ("pipelines", "driving"),
    "docs": ("tests",),
}
# What a device runs: nothing heavy, not even inside a function.
DEVICE = ("core", "storage", "media", "specs", "bundle", "runtime")
DEVICE_TOO = ("mmkeras.driving", "mmkeras.driving.drives.*", "mmkeras.driving.simulation.*", "mmkeras.driving.stream.*")
# Driving is a wing: it is reached by the name of its components, and imported by these alone.
DRIVERS = (
    *("mmkeras.data.sources.nuscenes", "pipelines.camera_radar", "pipelines._stages.comparison"),
    "pipelines.video_text",
)
# Model code is backend-neutral; random draws and word pieces are made in tf.data.
NEUTRAL = ("mmkeras.model", "mmkeras.model.*", "mmkeras.fusion", "mmkeras.fusion.*", "mmkeras.layers.*")
NEUTRAL_PARTS = ("mmkeras.modalities.*.branch", "mmkeras.tasks.*.head", "mmkeras.tasks.*.losses")
NOT_NEUTRAL = ("mmkeras.layers.draws", "mmkeras.layers.word_pieces")
# Run as scripts, or named after a format: a file called onnx.py here would import itself.
SCRIPTS = ("export.*", "pipelines.*", "mmkeras.runtime.*", "tests.*")


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) and (pattern.endswith(".*") or name.count(".") == pattern.count("."))
        for pattern in patterns
    )


def _specs() -> set[str]:
    """Return the modules of modalities and tasks that a device needs: found from their spec.py and picture.py."""
    families = [name for name in MODULES if name.startswith(("mmkeras.modalities.", "mmkeras.tasks."))]
    inside = {
        name: [other for other in imports(name) if _component_of(other) == _component_of(name)] for name in families
    }
    begin = [name for name in families if _component_of(name) is None or name.endswith((".spec", ".picture"))]
    return closure(begin, inside) & set(families) | {"mmkeras.modalities", "mmkeras.tasks"}


def _place(name: str) -> str:
    top, _, rest = name.partition(".")
    if top != "mmkeras":
        return top
    folder = rest.partition(".")[0]
    if folder in ("", "__main__"):
        return "runtime"
    return ("specs" if name in SPECS else "parts") if folder in ("modalities", "tasks") else folder


def _components() -> dict[str, str]:
    """Return the family of every component's package or file: these are siblings."""
    found = {}
    for family in ("mmkeras.modalities", "mmkeras.tasks", "mmkeras.fusion", "mmkeras.data.sources"):
        for path in MODULES[family].parent.iterdir():
            name = f"{family}.{path.stem}"
            if not path.name.startswith("_") and name in MODULES:
                found[name] = family
    found |= {name: "runners" for name in MODULES if name.startswith("mmkeras.runtime.runners.")}
    found |= dict.fromkeys(("mmkeras.training", "mmkeras.evaluation"), "stages")
    return found


COMPONENTS = _components()


def _component_of(name: str) -> str | None:
    return next((each for each in COMPONENTS if name == each or name.startswith(each + ".")), None)


SPECS = _specs()
ON_DEVICE = [name for name in MODULES if _place(name) in DEVICE or _fits(name, DEVICE_TOO)]


def test_the_reader_sees_what_there_is():
    assert len(MODULES) > 400
    assert {"mmkeras.core.errors", "mmkeras.modalities.image.spec", "tests.fuzz.worker"} <= set(MODULES)
    assert "mmkeras.bundle" in imports("mmkeras.runtime.predictor")
    assert "ai_edge_litert.interpreter" in imports("mmkeras.runtime.runners.litert_runner")
    assert {"mmkeras.modalities.image", "mmkeras.tasks.classification"} <= set(COMPONENTS)
    assert {"mmkeras.tasks.detection.peaks", "mmkeras.tasks._labels"} <= SPECS
    assert _place("mmkeras.tasks.detection.head") == "parts"


def test_every_folder_has_its_place():
    assert {_place(name) for name in MODULES} == set(BELOW)


def test_nothing_loose_stands_at_the_root():
    root = MODULES["mmkeras"].parent
    assert {path.name for path in root.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("name", list(MODULES))
def test_imports_point_downwards(name: str):
    below = closure([_place(name)], BELOW)
    above = {
        f"{other}:{line}"
        for other, line in imports(name, typing_too=True).items()
        if other in MODULES and _place(other) not in below and not (_place(other) == "driving" and name in DRIVERS)
    }
    assert not above, f"{name} ({_place(name)}) imports from above: {sorted(above)}"


@pytest.mark.parametrize("name", [name for name in MODULES if _place(name) not in ("driving", "tests")])
def test_driving_is_reached_by_name(name: str):
    wrong = {m: line for m, line in imports(name, typing_too=True).items() if m.startswith("mmkeras.driving")}
    assert not wrong or name in DRIVERS, f"{name} imports {wrong}: find it by its name"


def test_there_are_no_circles():
    """Not within a package either, and not with an import that waits in a function or is for types alone."""
    graph = {name: [m for m in imports(name, typing_too=True) if m in MODULES] for name in MODULES}
    assert not circles(graph)


def test_a_circle_is_found():
    graph = {"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": ["e"], "e": []}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": ["b"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize("name", ON_DEVICE)
def test_the_device_column_imports_nothing_heavy(name: str):
    heavy = {m: line for m, line in imports(name).items() if m.split(".")[0] in HEAVY}
    assert not heavy, f"{name} runs on the device and imports {heavy}"


@pytest.mark.parametrize("name", ON_DEVICE)
def test_importing_the_device_column_loads_nothing_heavy(name: str):
    for reached in reach(name):
        heavy = [m for m in imports(reached, inside_functions=False) if m.split(".")[0] in HEAVY]
        assert not heavy, f"{name} reaches {reached}, which imports {heavy}"


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, NEUTRAL) or _fits(name, NEUTRAL_PARTS)])
def test_model_code_is_backend_neutral(name: str):
    bound = {m: line for m, line in imports(name).items() if m.split(".")[0] in ("tensorflow", "torch", "jax")}
    assert not bound or name in NOT_NEUTRAL, f"{name} is model code: keras and keras.ops only, not {bound}"


@pytest.mark.parametrize("name", [name for name in MODULES if _component_of(name)])
def test_siblings_never_import_each_other(name: str):
    own = _component_of(name)
    wrong = {
        other
        for other in imports(name, typing_too=True)
        if (component := _component_of(other)) and component != own and COMPONENTS[component] == COMPONENTS[own or ""]
    }
    assert not wrong, f"{name} imports its siblings {sorted(wrong)}"


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, SCRIPTS)])
def test_no_file_is_named_after_the_library_it_wraps(name: str):
    own = name.rpartition(".")[2]
    imported = {m.split(".")[0] for m in imports(name)} - {"mmkeras", "export", "pipelines", "tests"}
    assert own not in imported, f"{name} imports {own}: run as a script it would import itself"
