"""Reads which modules import which, for the tests of layers and circles."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping

from tests.sources import MODULES

__all__ = ["circles", "closure", "imports", "reach"]


@functools.cache
def imports(name: str, *, typing_too: bool = False, inside_functions: bool = True) -> dict[str, int]:
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


def closure(names: Iterable[str], graph: Mapping[str, Iterable[str]]) -> set[str]:
    """Return what can be reached in a graph, the start included."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += graph.get(current, ())
    return seen


def reach(name: str) -> set[str]:
    """Return every module of ours that gets imported with a module; a module's packages are imported before it."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen or current not in MODULES:
            continue
        seen.add(current)
        parts = current.split(".")
        todo += [".".join(parts[:n]) for n in range(1, len(parts))]
        todo += list(imports(current, inside_functions=False))
    return seen


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other: the strongly connected components of two or more.

    Source: Tarjan 1972, Depth-first search and linear graph algorithms.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            place = stack.index(name)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for each in graph:
        if each not in number:
            visit(each)
    return found
