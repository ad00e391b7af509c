"""Reads every import and holds it to the dependency direction."""

from __future__ import annotations

import ast
import fnmatch
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("tensorflow", "tensorflow_text", "keras", "keras_nlp", "keras_hub", "tf2onnx", "torch", "jax")
PROGRAMS = ("export", "pipelines", "tests")

# What a device runs: these import nothing heavy, not even inside a function.
DEVICE = (
    "mmkeras",
    "mmkeras.__main__",
    "mmkeras.core.errors",
    "mmkeras.core.components",
    "mmkeras.core.config",
    "mmkeras.storage.files",
    "mmkeras.storage.disk",
    "mmkeras.layers.tokens",
    "mmkeras.media.geometry",
    "mmkeras.media.points.pcd",
    "mmkeras.media.points.pcd_header",
    "mmkeras.media.points.lzf",
    "mmkeras.storage.numpy_files",
    "mmkeras.storage.privacy",
    "mmkeras.core.terminal",
    "mmkeras.core.console",
    "mmkeras.storage.litert_file",
    "mmkeras.core.rounding",
    "mmkeras.core.typed",
    "mmkeras.core.waiting",
    "mmkeras.core.parallel",
    "mmkeras.storage.text_lines",
    "mmkeras.media.canvas",
    "mmkeras.driving.drives",
    "mmkeras.driving.drives.*",
    "mmkeras.driving.simulation",
    "mmkeras.driving.simulation.*",
    "mmkeras.modalities",
    "mmkeras.modalities._contract",
    "mmkeras.modalities.*.spec",
    "mmkeras.media.image.pixels",
    "mmkeras.media.text.wordpiece",
    "mmkeras.tasks",
    "mmkeras.tasks._*",
    "mmkeras.tasks.*.spec",
    "mmkeras.tasks.*.picture",
    "mmkeras.bundle.archive",
    "mmkeras.bundle.archive.*",
    "mmkeras.storage.hashes",
    "mmkeras.bundle.manifest",
    "mmkeras.bundle.golden",
    "mmkeras.bundle",
    "mmkeras.runtime",
    "mmkeras.runtime.*",
)
# Model code is backend-neutral.
NEUTRAL = (
    "mmkeras.model",
    "mmkeras.layers.waves",
    "mmkeras.layers.batch",
    "mmkeras.modalities.*.branch",
    "mmkeras.fusion",
    "mmkeras.fusion.*",
    "mmkeras.tasks.*.head",
    "mmkeras.tasks.*.losses",
)
# Run as scripts, or named after a format: a file called onnx.py here would import itself.
SCRIPTS = ("export.*", "pipelines.*", "mmkeras.runtime.*")
# Every module has a level and imports only from its own or lower ones. The first pattern that fits counts.
LEVELS = (
    (9, ("pipelines", "pipelines.*")),
    (8, ("export", "export.*")),
    (6, ("mmkeras.training", "mmkeras.training.*", "mmkeras.evaluation", "mmkeras.evaluation.*")),
    (6, ("mmkeras.core.command_line",)),
    (5, ("mmkeras.model", "mmkeras.data", "mmkeras.data.*")),
    (2, ("mmkeras.bundle", "mmkeras.bundle.golden", "mmkeras.bundle.manifest", "mmkeras.storage.hashes")),
    (3, ("mmkeras", "mmkeras.__main__", "mmkeras.runtime", "mmkeras.runtime.*")),
    (
        4,
        (
            "mmkeras.layers.waves",
            "mmkeras.layers.batch",
            "mmkeras.layers.keras_files",
            "mmkeras.tasks.*.head",
            "mmkeras.tasks.*.losses",
        ),
    ),
    (0, ("mmkeras.layers.keras_settings",)),
    (1, ("mmkeras.modalities", "mmkeras.modalities._contract", "mmkeras.modalities.*.spec")),
    (1, ("mmkeras.data.coverage", "mmkeras.media.image.pixels", "mmkeras.media.text.wordpiece")),
    (1, ("mmkeras.tasks", "mmkeras.tasks._*", "mmkeras.tasks.*.spec", "mmkeras.tasks.detection.*")),
    (
        1,
        (
            "mmkeras.driving.drives",
            "mmkeras.driving.drives.*",
            "mmkeras.driving.simulation",
            "mmkeras.driving.simulation.*",
        ),
    ),
    (
        0,
        (
            "mmkeras.core.errors",
            "mmkeras.core.components",
            "mmkeras.layers.tokens",
            "mmkeras.core.config",
            "mmkeras.storage.files",
            "mmkeras.layers.draws",
        ),
    ),
    (0, ("mmkeras.storage.disk", "mmkeras.core.rounding")),
    (1, ("mmkeras.bundle.archive", "mmkeras.bundle.archive.*")),
    (
        0,
        (
            "mmkeras.media.geometry",
            "mmkeras.media.points.pcd",
            "mmkeras.media.points.pcd_header",
            "mmkeras.media.points.lzf",
            "mmkeras.media.canvas",
        ),
    ),
    (
        0,
        (
            "mmkeras.storage.numpy_files",
            "mmkeras.storage.privacy",
            "mmkeras.core.typed",
            "mmkeras.core.terminal",
            "mmkeras.core.console",
        ),
    ),
    (0, ("mmkeras.storage.litert_file", "mmkeras.core.waiting", "mmkeras.core.parallel", "mmkeras.storage.text_lines")),
    # Rooms without a rule of their own: records, branches, fusions, heads and their helpers.
    (4, ("mmkeras.modalities.*", "mmkeras.fusion", "mmkeras.fusion.*", "mmkeras.tasks.*")),
)


def _modules() -> dict[str, Path]:
    found = {}
    for package in ("mmkeras", "export", "pipelines"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


@functools.cache
def _imports(name: str, *, typing_too: bool = False, inside_functions: bool = True) -> dict[str, int]:
    """Return every module that a module imports, with the line; TYPE_CHECKING blocks only when asked."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if not typing_too and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    if not inside_functions:
        skipped |= {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for inner in ast.walk(node)
        }
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update({alias.name: node.lineno for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                found[f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base] = node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("require", "importlib.import_module"):
            found.update({str(a.value): node.lineno for a in node.args[:1] if isinstance(a, ast.Constant)})
    return found


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) and (pattern.endswith(".*") or name.count(".") == pattern.count("."))
        for pattern in patterns
    )


def _level(name: str) -> int:
    return next(level for level, patterns in LEVELS if _fits(name, patterns))


def _rooms() -> dict[str, str]:
    """Return the family of every component room or file: these are siblings."""
    rooms = {}
    for family in ("mmkeras.modalities", "mmkeras.tasks", "mmkeras.fusion", "mmkeras.data.sources"):
        for path in (ROOT / family.replace(".", "/")).iterdir():
            name = f"{family}.{path.stem}"
            if not path.name.startswith("_") and name in MODULES:
                rooms[name] = family
    rooms |= {name: "runners" for name in MODULES if name.startswith("mmkeras.runtime.runners.")}
    rooms |= dict.fromkeys(("mmkeras.training", "mmkeras.evaluation"), "stages")
    return rooms


ROOMS = _rooms()


def _room(name: str) -> str | None:
    return next((room for room in ROOMS if name == room or name.startswith(room + ".")), None)


def _same_room(name: str, other: str) -> bool:
    # The files of one room share helpers; that its spec reaches nothing heavy through them has a test of its own.
    return _room(name) is not None and _room(name) == _room(other)


def test_the_reader_sees_what_there_is():
    assert len(MODULES) > 40
    assert {"mmkeras.core.errors", "mmkeras.modalities.image.spec", "mmkeras.runtime.runners.litert_runner"} <= set(
        MODULES
    )
    assert "mmkeras.bundle" in _imports("mmkeras.runtime.predictor")
    assert "ai_edge_litert.interpreter" in _imports("mmkeras.runtime.runners.litert_runner")
    assert {"mmkeras.modalities.image", "mmkeras.tasks.classification"} <= set(ROOMS)


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, DEVICE)])
def test_the_device_column_imports_nothing_heavy(name: str):
    heavy = {m: line for m, line in _imports(name).items() if m.split(".")[0] in HEAVY}
    assert not heavy, f"{name} runs on the device and imports {heavy}"


def _reach(name: str) -> set[str]:
    """Return every module of ours that gets imported with a module."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen or current not in MODULES:
            continue
        seen.add(current)
        parts = current.split(".")
        todo += [".".join(parts[:n]) for n in range(1, len(parts))]
        todo += list(_imports(current, inside_functions=False))
    return seen


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, DEVICE)])
def test_importing_the_device_column_loads_nothing_heavy(name: str):
    for reached in _reach(name):
        heavy = [m for m in _imports(reached, inside_functions=False) if m.split(".")[0] in HEAVY]
        assert not heavy, f"{name} reaches {reached}, which imports {heavy}"


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, NEUTRAL)])
def test_model_code_is_backend_neutral(name: str):
    bound = {m: line for m, line in _imports(name).items() if m.split(".")[0] in ("tensorflow", "torch", "jax")}
    assert not bound, f"{name} is model code: keras and keras.ops only, not {bound}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] == "mmkeras"])
def test_programs_are_never_imported_by_the_package(name: str):
    wrong = {m: line for m, line in _imports(name, typing_too=True).items() if m.split(".")[0] in PROGRAMS}
    assert not wrong, f"{name} is installed, {wrong} are not"


@pytest.mark.parametrize("name", list(MODULES))
def test_imports_point_downwards(name: str):
    above = {
        f"{other}:{line}"
        for other, line in _imports(name).items()
        if other in MODULES and _level(other) > _level(name) and not _same_room(name, other)
    }
    assert not above, f"{name} (level {_level(name)}) imports from above: {sorted(above)}"


@pytest.mark.parametrize("name", [name for name in MODULES if _room(name)])
def test_siblings_never_import_each_other(name: str):
    own = _room(name)
    wrong = {
        other
        for other in _imports(name, typing_too=True)
        if (room := _room(other)) and room != own and ROOMS[room] == ROOMS[own or ""]
    }
    assert not wrong, f"{name} imports its siblings {sorted(wrong)}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in ("export", "pipelines")])
def test_export_does_not_import_pipelines(name: str):
    if name.startswith("export"):
        assert not [m for m in _imports(name, typing_too=True) if m.split(".")[0] == "pipelines"]


@pytest.mark.parametrize("name", [name for name in MODULES if _fits(name, SCRIPTS)])
def test_no_file_is_named_after_the_library_it_wraps(name: str):
    own = name.rpartition(".")[2]
    imported = {m.split(".")[0] for m in _imports(name)} - {"mmkeras", "export", "pipelines"}
    assert own not in imported, f"{name} imports {own}: run as a script it would import itself"
