"""A damaged table loses no row in silence: read + quarantined = rows in the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import DataError
from mmkeras.data.sources import table
from mmkeras.media.table.csv_rows import read_records
from mmkeras.media.table.rows import Row, read_table

HEADER = ("file", "question", "answer")
ROWS = [(f"{n % 7}.png", f"what is number {n % 9}?", "yes" if n % 2 else "no") for n in range(40)]
ENDINGS = (b"\n", b"\r\n", b"\r")


def lines_of(suffix: str, rows: Sequence[tuple[str, ...]] = ROWS) -> list[bytes]:
    """Return the lines of a table without their endings; CSV and TSV begin with the header."""
    if suffix == ".jsonl":
        return [json.dumps(dict(zip(HEADER, row, strict=True))).encode() for row in rows]
    mark = "," if suffix == ".csv" else "\t"
    return [mark.join(row).encode() for row in (HEADER, *rows)]


def good_and_bad(path: Path) -> tuple[list[Row], list[Row]]:
    rows = read_table(path).rows
    return [row for row in rows if not row.problem], [row for row in rows if row.problem]


def damaged(line: bytes, kind: str, place: int, suffix: str) -> bytes:
    """Damage one line; it stays one line that is not blank."""
    mark = b"\t" if suffix == ".tsv" else b","
    place %= len(line)
    cells = line.split(mark)
    if kind == "quote opens":
        at = place % len(cells)
        return mark.join([*cells[:at], b'"' + cells[at], *cells[at + 1 :]])
    if kind == "quote closes":
        at = place % len(cells)
        return mark.join([*cells[:at], cells[at] + b'"', *cells[at + 1 :]])
    if kind == "cut":
        return line[: place + 1]
    if kind == "cell too many":
        return line + mark
    insert = {"quote": b'"', "nul": b"\0", "latin": b"\xe9", "delimiter": mark, "backslash": b"\\"}[kind]
    return line[:place] + insert + line[place:]


KINDS = ("quote opens", "quote closes", "quote", "cut", "cell too many", "nul", "latin", "delimiter", "backslash")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
    st.dictionaries(st.integers(0, len(ROWS) - 1), st.tuples(st.sampled_from(KINDS), st.integers(0, 99)), max_size=8),
    st.lists(st.tuples(st.integers(0, len(ROWS)), st.sampled_from([b" ", b"  "])), max_size=3),
    st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=5),
    st.booleans(),
)
def test_read_and_quarantined_are_the_rows_of_the_file(tmp_path, suffix, damages, blanks, endings, mark):
    lines = lines_of(suffix)
    first = 0 if suffix == ".jsonl" else 1
    for number, (kind, place) in damages.items():
        lines[first + number] = damaged(lines[first + number], kind, place, suffix)
    for number, blank in blanks:
        lines.insert(first + number, blank)
    ended = b"".join(line + endings[n % len(endings)] for n, line in enumerate(lines))
    path = tmp_path / f"t{suffix}"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + ended)
    good, bad = good_and_bad(path)
    assert len(good) + len(bad) == len(ROWS)
    # Each row begins on a line of its own, and what was not damaged comes back.
    written = [n + 1 for n, line in enumerate(lines) if line.strip()][first:]
    assert [row.line for row in sorted([*good, *bad], key=lambda row: row.line)] == written
    cells = {row.line: tuple(row.cells.values()) for row in good}
    for number in set(range(len(ROWS))) - set(damages):
        assert cells[written[number]] == ROWS[number]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text('a",', max_size=6), max_size=12), st.integers(1, 3))
def test_every_line_that_is_not_blank_belongs_to_one_row(texts, columns):
    lines = [f"{text}\n" for text in texts]
    records = list(read_records(lines, 0, columns, ","))
    held = [number for record in records for number in range(record.first, record.last)]
    assert held == sorted(set(held))
    assert all(lines[number] == "\n" for number in set(range(len(lines))) - set(held))
    assert all(record.last == record.first + 1 for record in records if record.problem)


@pytest.mark.parametrize("second", ["", 'is it 5"?', 'is it 5"'], ids=["never closed", "closed badly", "closed"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_quote_that_swallows_lines_costs_its_own_line(tmp_path, suffix, second):
    rows = [list(row) for row in ROWS]
    rows[10][1] = '"six inch is 6 inch?'
    if second:
        rows[33][1] = second
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"\n".join(lines_of(suffix, list(map(tuple, rows)))) + b"\n")
    good, bad = good_and_bad(path)
    assert [row.line for row in bad] == [12]
    assert "a quote opens in this line and is not closed in it; lines 13 to" in bad[0].problem
    assert [list(row.cells.values()) for row in good] == rows[:10] + rows[11:]


def test_cells_over_several_lines_are_read_as_they_were_written(tmp_path):
    texts = ["one\ntwo", "a, b\r\nc, d", "\n", 'say "hi"\nand, "bye"', "x\n\n\ny", "Hello, my\nfriend, old"]
    rows = [(f"{n}.png", texts[n % len(texts)], "no") for n in range(30)]
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        stream = io.StringIO()
        csv.writer(stream).writerows([[row[n] for n in order] for row in [HEADER, *rows]])
        (tmp_path / "t.csv").write_bytes(stream.getvalue().encode())
        good, bad = good_and_bad(tmp_path / "t.csv")
        assert bad == []
        assert [tuple(row.cells[name] for name in HEADER) for row in good] == rows


def test_a_row_that_can_be_read_both_ways_is_kept_with_a_remark(tmp_path):
    rows = [("a one", "x"), ("b two", "y"), ("c three", "x")] * 4
    lines = [",".join(row) for row in rows] + ['"Hello, my', 'friend",x']
    (tmp_path / "t.csv").write_text("\n".join(["question,answer", *lines]))
    good, bad = good_and_bad(tmp_path / "t.csv")
    assert bad == []
    assert good[-1].cells == {"question": "Hello, my\nfriend", "answer": "x"}
    assert "is a quote missing?" in good[-1].remark
    assert not any(row.remark for row in good[:-1])


def test_what_costs_a_row_and_what_costs_the_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"file,question,answer\na.png,caf\xe9,no\nb.png,a\0b,no\nc.png,d,no\n")
    good, bad = good_and_bad(path)
    assert [(row.line, row.problem.split(",")[0]) for row in bad] == [(2, "expected UTF-8"), (3, "expected text")]
    assert [row.line for row in good] == [4]
    for content, words in (
        ("file,question,answer\n".encode("utf-16"), "got UTF-16. Save the file as UTF-8"),
        (b"file,question,caf\xe9\na,b,c\n", "expected UTF-8, got the byte 0xe9"),
        (b'file,"question,answer\na,b,c"\n', "a quote opens in the names of the columns"),
        (b"file,question,question \na,b,c\n", "'question'. Rename them"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            read_table(path)


def test_a_parquet_cell_that_cannot_be_read_costs_its_row(tmp_path):
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.array([b"a", b"\xff", b"c"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"question": text, "answer": [1.0, 2.0, None]}), tmp_path / "t.parquet")
    source = table.Source(str(tmp_path / "t.parquet"), columns={"text": "question"}, target="answer")
    first, second, third = source.samples()
    assert first.values == {"text": "a"}
    assert "column 'question': cannot be read" in str(second.target)
    assert "target is empty" in str(third.target)
