"""The part of mmkeras in a packed bundle: the device commands and the modules that they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from mmkeras.core.errors import BundleError

__all__ = ["MAIN", "runtime_files"]

MAIN = b'''"""Runs and tests the model in this file: python FILE.mmk selftest | predict | benchmark | inspect | ...

Needs Python 3.10 or newer, numpy and one engine (ai-edge-litert or onnxruntime); mmkeras itself is in this file.
SPDX-License-Identifier: Apache-2.0 (the code; see the model card for the weights)
"""

import sys

if sys.version_info < (3, 10):
    sys.exit("This file needs Python 3.10 or newer, got %d.%d." % sys.version_info[:2])
try:
    from mmkeras.runtime.packed import main
except (ImportError, SyntaxError, ValueError, EOFError) as error:
    name = getattr(error, "name", None) or ""
    if isinstance(error, ModuleNotFoundError) and name.split(".")[0] != "mmkeras":
        sys.exit("%s is not installed; this file needs it. Install it with pip." % name)
    sys.exit("%s: the code in it is damaged (%s). Copy the file again." % (sys.argv[0], error))

sys.exit(main(sys.argv[0], sys.argv[1:]))
'''
"""``__main__.py`` of every packed bundle. It runs without a condition: a damaged byte could make a condition false and
end the program with status 0, as if a self-test had passed."""

# Modules that are imported by name; their imports are packed too.
_ROOTS = ("__main__.py", "runtime/**/*.py", "driving/stream/*.py", "modalities/*/spec.py", "tasks/*/spec.py")


def runtime_files() -> dict[str, Path]:
    """Return the files of mmkeras that a device needs, by member name; they follow from the imports.

    Raises:
        BundleError: mmkeras itself runs from a packed bundle.
    """
    package = Path(__file__).resolve().parents[1]
    if not package.is_dir():
        raise BundleError("The mmkeras in a packed bundle cannot pack. Use an installed mmkeras.")
    todo = [path for pattern in _ROOTS for path in sorted(package.glob(pattern))]
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        # Python imports a module's packages before the module.
        parents = [parent / "__init__.py" for parent in path.parents if package in (parent, *parent.parents)]
        todo += [parent for parent in parents if parent.is_file()]
        todo += _imports(path, package)
    for folder in {path.parent for path in found if path.name == "__init__.py"}:
        data = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        found |= {path for path in data if path.suffix not in (".py", ".pyc")}
    return {f"mmkeras/{path.relative_to(package).as_posix()}": path for path in sorted(found)}


def _imports(path: Path, package: Path) -> Iterator[Path]:
    """Yield the files of mmkeras that a module imports, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in _runtime_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("mmkeras."):
            names = [node.value]  # importlib.import_module("mmkeras.runtime") and tables of such names
        for name in names:
            parts = name.split(".")
            if parts[0] != "mmkeras" or not all(part.isidentifier() for part in parts):
                continue
            module = package.joinpath(*parts[1:])
            for candidate in (module.with_suffix(".py"), module / "__init__.py"):
                if candidate.is_file():
                    yield candidate


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module, except those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)
