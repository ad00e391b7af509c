from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import DataError
from mmkeras.driving.drives import tables
from mmkeras.driving.drives.tables import Table

KINDS = {"link": "S", "when": "i8", "key": "?"}


def record(number: int, note: str = "") -> dict[str, object]:
    return {"token": f"t{number}", "note": note, "link": f"t{number // 2}", "when": 10**15 + number, "key": number > 2}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(st.text(max_size=30), max_size=12),
    indent=st.sampled_from([None, 0, 3]),
    raw=st.booleans(),
    piece=st.integers(8, 400),
    tail=st.sampled_from(["", "\n", " \r\n"]),
)
def test_records_are_found_again_wherever_pieces_end(tmp_path, monkeypatch, notes, indent, raw, piece, tail):
    rows = [record(number, note.replace("\ud800", "")) for number, note in enumerate(notes)]
    path = tmp_path / "any.json"
    path.write_bytes((json.dumps(rows, indent=indent, ensure_ascii=not raw) + tail).encode("utf-8", "replace"))
    rows = json.loads(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(tables, "PIECE", piece)
        patch.setattr(tables, "BLOCK", 3)
        table = Table(path, KINDS)
    assert list(table.rows()) == rows
    assert table.columns["when"].tolist() == [row["when"] for row in rows]
    assert table.columns["key"].dtype == bool
    assert [table.number(row["token"]) for row in rows] == list(range(len(rows)))
    np.testing.assert_array_equal(table.link("link", table), np.arange(len(rows)) // 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a JSON list"),
        ("{}", "expected a JSON list of records, got '{}'"),
        ('[{"token": "a"}', "record 0 is not a JSON object: truncated"),
        ('[{"token": "a"}, {"token": "b', "record 1 is not a JSON object"),
        ('[{"token": "a"},]', "record 1 is not a JSON object"),
        ('[{"token": "a"} {"token": "b"}]', "record 0 is not a JSON object: expected , or ]"),
        ("[1]", "record 0: expected an object, got int"),
        ('[{"name": "a"}]', r"record 0 \(None\): expected a token as 'token', got none"),
        ('[{"token": "a"}, {"token": 5}]', "record 1 .5.: expected a token as 'token', got 5"),
        ('[{"token": "\u00e4"}]', "expected a token as 'token'"),
    ],
)
def test_what_is_no_table(text, words, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        Table(path)
    assert str(path) in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        Table(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b'[{"token": "\xff"}]')
    with pytest.raises(DataError, match="expected UTF-8"):
        Table(tmp_path / "binary.json")


@pytest.mark.parametrize(
    ("field", "value"), [("when", 1.5), ("when", True), ("when", 2**70), ("key", 1), ("key", None), ("link", 3)]
)
def test_values_are_not_bent_to_fit(field, value, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps([record(0), record(1) | {field: value}]), encoding="utf-8")
    with pytest.raises(DataError, match=rf"record 1 \('t1'\): expected .* as '{field}', got"):
        Table(path, KINDS)


def test_links(tmp_path):
    path = tmp_path / "links.json"
    rows = [record(0), record(1) | {"link": ""}, record(2) | {"link": "t9"}]
    path.write_text(json.dumps(rows), encoding="utf-8")
    table = Table(path, KINDS)
    with pytest.raises(DataError, match=r"record 't1': its link '' is not in links\.json \(2 such records\)"):
        table.link("link", table)
    assert table.link("link", table, optional=True).tolist() == [0, -1, -1]


def test_a_table_is_smaller_than_its_records(tmp_path):
    """What stays in memory, and what is needed meanwhile, against the same records as dicts."""
    rows = [record(number, "n" * 200) for number in range(20_000)]
    path = tmp_path / "large.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    del rows

    def kept_and_peak(read: Callable[[], object]) -> tuple[int, int]:
        tracemalloc.start()
        try:
            content = read()
            kept, peak = tracemalloc.get_traced_memory()
            del content
            return kept, peak
        finally:
            tracemalloc.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK", 1000)
        patch.setattr(tables, "PIECE", 100_000)
        kept, peak = kept_and_peak(lambda: Table(path, KINDS))
    whole, _ = kept_and_peak(lambda: json.loads(path.read_text(encoding="utf-8")))
    assert kept < whole / 10
    assert peak < whole / 5
