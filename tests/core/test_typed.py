from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmkeras.core.errors import DataError
from mmkeras.core.typed import is_finite, parse_json, read_json


def test_numbers_that_a_float_holds():
    assert all(map(is_finite, (0, -1, 2**64, 10**308, 1e308, -1e308, 1e-320)))
    assert not any(map(is_finite, (10**400, -(10**400), float("nan"), float("inf"), True, None, "1", [1])))


@pytest.mark.parametrize("text", ["1" + "0" * 400, "-1" + "0" * 400, "9" * 5000])
def test_a_whole_number_without_a_float_is_refused(tmp_path: Path, text: str):
    with pytest.raises(ValueError, match=r"digits is too large|limit"):
        parse_json(f'{{"a": [{text}]}}')
    path = tmp_path / "x.json"
    path.write_text(f'{{"a": {text}}}')
    with pytest.raises(DataError, match=r"x\.json cannot be read as JSON: .*too large|limit"):
        read_json(path, DataError, "Copy it again.")


def test_everything_else_is_as_it_stands():
    value = {"a": [1, -2, 2**70, 1.5, "x", None, True]}
    assert parse_json(json.dumps(value)) == value
