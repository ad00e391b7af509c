from __future__ import annotations

import ast
import importlib

import pytest

import mmkeras
from tests.conftest import REPOSITORY
from tests.sources import MODULES


def _public_modules() -> list[str]:
    return [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]


def _source(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def _declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return list(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    return None


def _defined(tree: ast.Module, package: bool) -> tuple[set[str], set[str]]:
    """Return the public functions and classes of a module, and every name that ``__all__`` may hold.

    A constant or an alias may be a detail of its module without an underscore. A package's names are also those
    that it passes on from its own modules.
    """
    named, possible = set(), set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            named.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            possible |= {t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names = {alias.asname or alias.name for alias in node.names}
            ours = (node.module or "").startswith(("mmkeras", "export", "pipelines", "tests"))
            (named if package and ours else possible).update(names)
    named = {name for name in named if not name.startswith("_")}
    return named, named | possible


@pytest.mark.parametrize("name", [name for name in _public_modules() if name != "mmkeras"])
def test_all_equals_the_public_names(name: str):
    tree = _source(name)
    declared = _declared(tree)
    if all(isinstance(node, ast.Expr) for node in tree.body):
        return  # nothing but a docstring
    assert declared is not None, f"{name} has no __all__"
    assert len(declared) == len(set(declared)), f"{name}.__all__ holds a name twice"
    named, possible = _defined(tree, MODULES[name].name == "__init__.py")
    missing = named - set(declared)
    assert not missing, f"{name} defines {sorted(missing)}: add them to __all__, or start them with _"
    extra = set(declared) - possible
    assert not extra, f"{name}.__all__ names {sorted(extra)}, which it does not define"


@pytest.mark.parametrize("name", _public_modules())
def test_every_public_module_is_documented(name: str):
    tree = _source(name)
    assert ast.get_docstring(tree), f"{name} has no docstring"
    undocumented = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.name in (_declared(tree) or ())
        and not ast.get_docstring(node)
    ]
    assert not undocumented, f"{name}: {undocumented} have no docstring"


def test_the_package_itself():
    assert sorted(mmkeras.__all__) == dir(mmkeras)
    for name in mmkeras.__all__:
        assert getattr(mmkeras, name) is not None
    assert mmkeras.Bundle is importlib.import_module("mmkeras.bundle").Bundle
    with pytest.raises(AttributeError, match="no attribute 'Bundel'"):
        mmkeras.Bundel  # noqa: B018


def test_one_version():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{mmkeras.__version__}"\n' in text
