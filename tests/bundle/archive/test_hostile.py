"""Archives made to harm: each is refused with the member's name, and nothing but an ArchiveError comes out."""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmkeras.bundle.archive import Archive
from mmkeras.bundle.archive.names import MAX_MANIFEST
from mmkeras.core.errors import ArchiveError
from tests.bundle.archive.hostile import assemble, listing
from tests.bundle.archive.samples import CONTENTS


def refused(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        Archive.open(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", "leads out of the bundle"),
        ("edge/../../evil", "leads out of the bundle"),
        ("..\\evil", "leads out"),
        ("/etc/evil", "absolute path"),
        ("C:/evil", "absolute path"),
        ("\\\\host\\share", "absolute path"),
        ("edge//evil", "empty part"),
        ("edge/./evil", "empty part"),
        ("evil/", "empty part"),
        ("", "empty part"),
        ("evil\x00.txt", "not every system allows"),
        ("evil\x1b[2J", "not every system allows"),
        ("evil:stream", "not every system allows"),
        ("evil.", "ends with a blank or a dot"),
        ("e" * 241, "at most 240"),
        ("MANIFEST.JSON", "one file where case is ignored"),
        ("SHA256.json", "one file where case is ignored"),
        ("edge", "a file and the folder of"),
        ("edge/empty.bin/evil", "a file and the folder of"),
    ],
)
def test_names(tmp_path: Path, name: str, message: str):
    """With hashes and layout that fit: only the name is wrong."""
    assert message in refused(assemble(tmp_path / "x.mmk", {**CONTENTS, name: b"evil"}))


def foreign(path: Path, change: Callable[[zipfile.ZipFile], object], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write the same members with Python's zipfile, and a further one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of a doubled name, and writes it
        with zipfile.ZipFile(path, "w", compression) as archive:
            members: dict[str, Any] = {"sha256.json": listing(CONTENTS), **CONTENTS}
            for name in ("sha256.json", *sorted(CONTENTS)):
                archive.writestr(name, members[name])
            change(archive)
    return path


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("edge/link")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z.writestr("../evil", b"x"), r"'../evil' leads out"),
        (lambda z: z.writestr("/evil", b"x"), r"'/evil' is an absolute path"),
        (lambda z: z.writestr("manifest.json", b"x"), r"'manifest.json' is there twice"),
        (lambda z: z.writestr("Manifest.JSON", b"x"), r"'Manifest.JSON' and 'manifest.json' are one file"),
        (lambda z: z.writestr("folder/", b""), r"'folder/' is a folder"),
        (lambda z: z.writestr("edge/", b""), r"'edge/' is a folder"),
        (lambda z: z.writestr("../evil/", b""), r"'../evil' leads out"),
        (link, r"'edge/link' is a link"),
        (
            lambda z: z.writestr("bomb", bytes(1 << 24), zipfile.ZIP_DEFLATED),
            r"'bomb' would grow from .* to 16,777,216",
        ),
        (lambda z: z.writestr("new", b"xyz" * 50, zipfile.ZIP_DEFLATED), r"'new' is compressed \(method 8\)"),
        (lambda z: z.writestr("new", b"xyz" * 50, zipfile.ZIP_LZMA), r"'new' is compressed \(method 14\)"),
        (lambda z: z.writestr("new", b"xyz"), "mmkeras pack"),
        (lambda z: setattr(z, "comment", b"hello"), r"5 bytes of comment behind the last member"),
    ],
)
def test_zips_by_another_program(tmp_path: Path, change: Callable[[zipfile.ZipFile], object], message: str):
    assert re.search(message, refused(foreign(tmp_path / "x.mmk", change)))


def test_a_zip_bomb_of_overlapping_members(tmp_path: Path, unsigned: Path):
    """Many directory entries that all point at one member (Fifield 2019)."""
    content = unsigned.read_bytes()
    start = content.rindex(b"PK\x01\x02")
    entry = content[start : content.rindex(b"PK\x05\x06")]
    directory = content[content.index(b"PK\x01\x02") : content.rindex(b"PK\x05\x06")] + entry * 500
    count = directory.count(b"PK\x01\x02")
    head = content[: content.index(b"PK\x01\x02")]
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(head), 0)
    path = tmp_path / "x.mmk"
    path.write_bytes(head + directory + last)
    assert "is there twice" in refused(path)


def test_data_before_and_behind(tmp_path: Path, unsigned: Path):
    path = tmp_path / "x.mmk"
    path.write_bytes(b"#!/usr/bin/env python3\n" + unsigned.read_bytes())
    assert "before the first member 'sha256.json'" in refused(path)
    path.write_bytes(unsigned.read_bytes() + b"\0" * 7)
    assert "7 bytes behind the last member" in refused(path)
    path.write_bytes(unsigned.read_bytes() * 2)
    assert "behind the last member" in refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"hello", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + bytes(26), bytes(99)]
)
def test_no_packed_bundle_at_all(tmp_path: Path, content: bytes):
    path = tmp_path / "x.mmk"
    path.write_bytes(content)
    assert "sha256.json" in refused(path)


def test_no_file(tmp_path: Path):
    with pytest.raises(ArchiveError, match="cannot be opened"):
        Archive.open(tmp_path / "gone.mmk")
    with pytest.raises(ArchiveError, match="cannot be opened"):
        Archive.open(tmp_path)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"\xff", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[]", "schema_version: expected 1, got None"),
        (b'{"schema_version": 2}', "schema_version: expected 1, got 2"),
        (b'{"schema_version": true}', "schema_version: expected 1, got True"),
        (b'{"schema_version": 1}', "members: expected an object"),
        (b'{"schema_version": 1, "members": {"a": 1}}', "members.a: expected bytes and a sha256"),
        (b'{"schema_version": 1, "members": {"a": {"bytes": -1, "sha256": "%s"}}}' % (b"0" * 64), "'a' has -1 bytes"),
        (b'{"schema_version": 1, "members": {"a": {"bytes": 1.0, "sha256": "%s"}}}' % (b"0" * 64), "members.a"),
        (b'{"schema_version": 1, "members": {"a": {"bytes": 1, "sha256": "%s"}}}' % (b"G" * 64), "members.a"),
        (b'{"schema_version": 1, "members": {"a": 1, "a": 1}}', "'a' is there twice"),
        (b'{"schema_version": 1, "members": {}}', "'manifest.json' is missing"),
        (listing(CONTENTS) + b" ", "is not written as"),
        (
            listing({name: CONTENTS[name] for name in CONTENTS if name != "edge/empty.bin"}),
            "the member 'edge/tiny.float32.tflite' of 256 bytes and holds 'edge/empty",
        ),
        (listing({**CONTENTS, "more": b"x"}), "cut off in the member|'more'"),
    ],
)
def test_lists(tmp_path: Path, listed: bytes, message: str):
    assert re.search(message, refused(assemble(tmp_path / "x.mmk", CONTENTS, listed=listed)))


def test_members_in_another_order(tmp_path: Path):
    path = assemble(tmp_path / "x.mmk", CONTENTS, order=sorted(CONTENTS, reverse=True))
    assert "member" in refused(path)


def test_an_oversized_manifest(tmp_path: Path):
    members: dict[str, Any] = {**CONTENTS, "manifest.json": bytes(MAX_MANIFEST + 1)}
    assert "'manifest.json' has 4,194,305 bytes, at most 4,194,304" in refused(assemble(tmp_path / "x.mmk", members))


def test_a_list_of_another_size_than_the_file(tmp_path: Path):
    huge = listing(CONTENTS, {"edge/tiny.float32.tflite": 4_000_000_000})
    message = refused(assemble(tmp_path / "x.mmk", CONTENTS, listed=huge))
    assert "the member 'edge/tiny.float32.tflite' of 4,000,000,000 bytes" in message


def test_too_many_members(tmp_path: Path):
    members = {**CONTENTS, **{f"m{i}": b"" for i in range(10_001)}}
    assert "at most 10000 members" in refused(assemble(tmp_path / "x.mmk", members))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"{}",
        b"[]",
        b'{"algorithm": "none"}',
        json.dumps({"algorithm": "ed25519", "public_key": "0", "signature": "0"}).encode(),
    ],
)
def test_signatures_that_are_none(tmp_path: Path, signature: bytes):
    assert "signature.json" in refused(assemble(tmp_path / "x.mmk", CONTENTS, signature=signature))


def test_a_manifest_that_would_crash_a_reader(tmp_path: Path):
    """The archive is whole; what is in it is not: the bundle's own checks answer."""
    from mmkeras.bundle import Bundle
    from mmkeras.core.errors import BundleError

    for content in (b"[" * 200_000, b"{}", b"\xff", b"null", b'{"schema_version": 1, "version": ' + b"9" * 5000 + b"}"):
        path = assemble(tmp_path / "x.mmk", {**CONTENTS, "manifest.json": content})
        with pytest.raises(BundleError, match=r"x\.mmk"):
            Bundle.open(path)


def test_golden_arrays_that_would_fill_the_memory(tmp_path: Path):
    """A deflated array of zeros, and one whose header claims more than there is."""
    import numpy as np

    from mmkeras.bundle.golden import read_golden
    from mmkeras.core.errors import BundleError

    claimed = io.BytesIO()
    np.lib.format.write_array_header_1_0(claimed, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    for content, size in ((claimed.getvalue(), 0), (b"", 3 << 30)):
        with zipfile.ZipFile(tmp_path / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("keys.npy", content)
        raw = (tmp_path / "golden.npz").read_bytes()
        if size:
            place = raw.index(b"PK\x01\x02") + 24
            (tmp_path / "golden.npz").write_bytes(raw[:place] + struct.pack("<L", size) + raw[place + 4 :])
        with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
            read_golden(tmp_path)
