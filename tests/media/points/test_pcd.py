from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmkeras.core.errors import DataError
from mmkeras.media.points.pcd import decompress, read_pcd, write_pcd
from mmkeras.media.points.pcd_header import header_text

FIXTURES = "radar/pypcd4_fixtures_BSD3/tests/pcd"
HEADER = {
    "VERSION": "0.7",
    "FIELDS": "x _ label rgb",
    "SIZE": "4 1 8 2",
    "TYPE": "F U I U",
    "COUNT": "1 3 1 2",
    "WIDTH": "3",
    "HEIGHT": "1",
    "VIEWPOINT": "1 2 3 1 0 0 0",
    "POINTS": "3",
    "DATA": "binary",
}
RECORD = np.dtype([("x", "<f4"), ("pad", "<u1", (3,)), ("label", "<i8"), ("rgb", "<u2", (2,))])
RECORDS = np.zeros(3, RECORD)
RECORDS["x"] = [1.5, -2.0, np.inf]
RECORDS["label"] = [-(2**62), 0, 7]
RECORDS["rgb"] = [[1, 2], [3, 4], [65535, 0]]


def compress(data: bytes) -> bytes:
    """Pack with LZF: the longest repeat that a table of the last three bytes finds."""
    out, literal, at = bytearray(), bytearray(), 0
    seen: dict[bytes, int] = {}

    def flush() -> None:
        for start in range(0, len(literal), 32):
            out.extend([len(literal[start : start + 32]) - 1, *literal[start : start + 32]])
        literal.clear()

    while at < len(data):
        start = seen.get(data[at : at + 3], -1)
        seen[data[at : at + 3]] = at
        length = 0
        if start >= 0 and at - start <= 8192:
            while length < 264 and at + length < len(data) and data[start + length] == data[at + length]:
                length += 1
        if length < 3:
            literal.append(data[at])
            at += 1
            continue
        flush()
        distance = at - start - 1
        short = min(length - 2, 7)
        out.append(short << 5 | distance >> 8)
        if short == 7:
            out.append(length - 9)
        out.append(distance & 255)
        at += length
    flush()
    return bytes(out)


def file(body: bytes, **changes: str | None) -> bytes:
    lines = {**HEADER, **changes}
    return "".join(f"{key} {value}\n" for key, value in lines.items() if value is not None).encode() + body


def ascii_body() -> bytes:
    rows = (f"{r['x']} 9 9 9 {r['label']} {r['rgb'][0]} {r['rgb'][1]}" for r in RECORDS)
    return "\r\n".join(rows).encode()


def compressed_body() -> bytes:
    columns = b"".join(np.ascontiguousarray(RECORDS[name]).tobytes() for name in RECORD.names or ())
    packed = compress(columns)
    return len(packed).to_bytes(4, "little") + len(columns).to_bytes(4, "little") + packed


BODIES = {"binary": RECORDS.tobytes(), "ascii": ascii_body(), "binary_compressed": compressed_body()}


@pytest.mark.parametrize("encoding", sorted(BODIES))
@pytest.mark.parametrize("trailing", [b"", b"\0", b"\0" * 4000])
def test_every_encoding_gives_the_same_cloud(encoding, trailing):
    trailing = b"\n" if encoding == "ascii" and trailing else trailing
    cloud = read_pcd(file(BODIES[encoding] + trailing, DATA=encoding))
    assert cloud.fields == ("x", "label", "rgb")
    for name, values in cloud.columns.items():
        assert values.dtype == RECORD[name].base
        np.testing.assert_array_equal(values, RECORDS[name])
    assert (cloud.width, cloud.height, len(cloud)) == (3, 1, 3)
    assert cloud.viewpoint == (1, 2, 3, 1, 0, 0, 0)


def test_fields_as_a_table():
    cloud = read_pcd(file(BODIES["binary"]))
    assert cloud.table(["label", "x"]).dtype == np.float32
    np.testing.assert_array_equal(cloud.table(["x"])[:, 0], RECORDS["x"])
    with pytest.raises(DataError, match="no field 'lable'; did you mean 'label'"):
        cloud.table(["lable"])
    with pytest.raises(DataError, match="one number a point, got 2"):
        cloud.table(["rgb"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DATA": None}, "without a DATA line"),
        ({"DATA": "binry"}, ":10: DATA 'binry'; did you mean 'binary'"),
        ({"FIELDS": None}, "the header has no FIELDS"),
        ({"FIELDS": "x _ label label"}, ":2: expected 4|:2: the field 'label' occurs twice"),
        ({"SIZE": "4 1 8"}, ":3: expected 4 words after SIZE, got 3"),
        ({"TYPE": "F U I X"}, ":4: field 'rgb' has TYPE X and SIZE 2"),
        ({"SIZE": "3 1 8 2"}, "field 'x' has TYPE F and SIZE 3"),
        ({"COUNT": "1 0 1 2"}, ":5: field '_': expected a COUNT"),
        ({"WIDTH": "many"}, ":6: expected a whole number after WIDTH, got 'many'"),
        ({"WIDTH": "-3"}, "expected a whole number"),
        ({"POINTS": "4"}, ":9: POINTS 4 is not WIDTH 3 times HEIGHT 1"),
        ({"VIEWPOINT": "0 0 0"}, ":8: expected seven numbers"),
        ({"WIDTH": "4", "POINTS": None}, "truncated: the header declares 4 points of 19 bytes, which is 76, but 57"),
        ({"VERSION": "0.7\nSIZES 4"}, ":2: .*did you mean 'SIZE'"),
    ],
)
def test_a_wrong_header_is_named_with_its_line(changes, words, tmp_path):
    path = tmp_path / "wrong.pcd"
    path.write_bytes(file(BODIES["binary"], **changes))
    with pytest.raises(DataError, match=words) as caught:
        read_pcd(path)
    assert str(path) in str(caught.value)


def test_a_wrong_number_in_ascii_is_named_with_its_line():
    for wrong, words in (("x 9 9 9 1 2 3", "field 'x'"), ("1 9 9 9 1 65536 3", "field 'rgb'"), ("1 9 9", "got 3")):
        body = ascii_body().split(b"\n")[0] + b"\n\n" + wrong.encode() + b"\n" + b"1 9 9 9 1 2 3"
        with pytest.raises(DataError, match=f":13: .*{words}"):
            read_pcd(file(body, DATA="ascii"))


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_pcd(tmp_path / "none.pcd")
    with pytest.raises(DataError, match="cannot be read"):
        read_pcd(tmp_path)
    with pytest.raises(DataError, match="is empty"):
        read_pcd(b"")
    with pytest.raises(DataError, match="not a key of a PCD header"):
        read_pcd(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BODIES)), st.integers(0, 10_000), st.binary(max_size=6), st.booleans())
def test_damaged_files_raise_nothing_but_a_data_error(encoding, where, bytes_, cut):
    data = file(BODIES[encoding], DATA=encoding)
    where %= len(data)
    data = data[:where] + bytes_ + (b"" if cut else data[where + len(bytes_) :])
    try:
        cloud = read_pcd(data)
    except DataError:
        return
    assert all(len(values) == len(cloud) for values in cloud.columns.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.binary(min_size=1, max_size=3).map(lambda b: b * 200))))
def test_lzf_gives_back_what_was_packed(parts):
    data = b"".join(parts)
    packed = compress(data)
    assert decompress(packed, len(data)) == data
    for size in (len(data) - 1, len(data) + 1):
        with pytest.raises(DataError, match="expected"):
            decompress(packed, size)
    for end in range(min(len(packed), 40)):
        with pytest.raises(DataError, match="LZF"):
            decompress(packed[:end], len(data))


@pytest.mark.parametrize("data", [b"\x20\x00", b"\xe0\xff\xff", b"\x05abc"])
def test_broken_lzf(data):
    with pytest.raises(DataError, match=r"before the beginning|within an instruction"):
        decompress(data, 300)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 40), st.just(3))))
def test_written_points_come_back(points):
    data = write_pcd(points, ("x", "y", "dt"))
    assert len(data) == len(header_text(0, ("x", "y", "dt"))) + points.size * 4
    np.testing.assert_array_equal(read_pcd(data).table(("x", "y", "dt")), points)


def test_what_cannot_be_written():
    with pytest.raises(DataError, match=re.escape("expected points (N, 2) for x, y, got (3,)")):
        write_pcd(np.zeros(3), ("x", "y"))
    with pytest.raises(DataError, match="distinct names"):
        header_text(0, ("x", "a b"))


def test_real_files_of_the_point_cloud_library(shared_data):
    folder = shared_data("radar") / FIXTURES
    binary = read_pcd(folder / "binary.pcd")
    assert (binary.fields, len(binary)) == (("x", "y", "z", "rgb"), 213)
    packed = read_pcd(folder / "binary_compressed.pcd")
    text = read_pcd(folder / "ascii.pcd")
    assert text.columns["x"][0] == np.float32(0.93773)
    for name in binary.fields:
        np.testing.assert_array_equal(packed.columns[name], binary.columns[name])
        np.testing.assert_array_equal(text.columns[name], binary.columns[name])
    for name in ("ascii_organized", "binary_compressed_organized"):
        cloud = read_pcd(folder / f"{name}.pcd")
        assert (cloud.width, cloud.height, len(cloud)) == (4, 2, 8)
        np.testing.assert_array_equal(cloud.columns["intensity"], np.arange(1, 9, dtype=np.float32) / np.float32(10))
    assert read_pcd(folder / "ascii_multi_count.pcd").columns["intensity"].shape == (8, 4)
    assert read_pcd(folder / "ascii_with_underscore.pcd").fields == ("x", "y", "z")
    assert len(read_pcd(folder / "ascii_with_empty_points.pcd")) == 0
    for name, words in (("ascii_empty", "is empty"), ("ascii_invalid_header", ":3: 'FIEL'")):
        with pytest.raises(DataError, match=words):
            read_pcd(folder / f"{name}.pcd")
