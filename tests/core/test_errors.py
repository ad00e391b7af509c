from __future__ import annotations

import re

import pytest

from mmkeras.core import errors
from mmkeras.core.errors import DependencyError, MmkerasError, nearest, require


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"^([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    parents: list[str] = []
    for prefix, name in drawn:
        depth = len(prefix) // 4
        cls = getattr(errors, name)
        assert cls.__bases__[0].__name__ == (parents[depth - 1] if depth else "Exception")
        parents[depth:] = [name]
    assert {name for _, name in drawn} == {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, MmkerasError)
    }


def test_nearest():
    assert nearest("maxx", ["mean", "max"]) == "did you mean 'max'? Valid: 'max', 'mean'"
    assert nearest("zzz", ["b", "a"]) == "Valid: 'a', 'b'"
    assert nearest("x", []) == "There are none."


def test_require():
    assert require("json", "train").loads("1") == 1
    with pytest.raises(DependencyError, match=r"no_such_engine is not installed.*pip install 'mmkeras\[onnx\]'"):
        require("no_such_engine", "onnx")
    with pytest.raises(DependencyError):
        require("no_such_engine.part", "onnx")


def test_a_broken_dependency_is_not_called_missing(tmp_path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_engine.py").write_text("import something_else_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_else_that_is_missing"):
        require("broken_engine", "onnx")
