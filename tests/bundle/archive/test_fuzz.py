"""Every damage to a packed bundle is refused with an ArchiveError that names a member, and nothing else happens."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.bundle.archive import Archive
from mmkeras.core.errors import ArchiveError
from tests.bundle.archive.hostile import assemble
from tests.bundle.archive.samples import CONTENTS

QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        Archive.open(path)
    named = ("sha256.json", "signature.json", *CONTENTS)
    assert any(repr(name) in str(caught.value) or f"{name}:" in str(caught.value) for name in named), caught.value


def test_a_flip_of_every_byte(signed: Path, tmp_path: Path):
    whole = signed.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        refused(tmp_path / "x.mmk", bytes(damaged))


def test_a_cut_at_every_byte(signed: Path, tmp_path: Path):
    whole = signed.read_bytes()
    for length in range(len(whole)):
        refused(tmp_path / "x.mmk", whole[:length])


@QUICK
@given(data=st.data())
def test_several_damages_at_once(signed: Path, tmp_path: Path, data: st.DataObject):
    whole = signed.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        what = data.draw(st.sampled_from(("flip", "insert", "delete", "copy", "zero")))
        length = data.draw(st.integers(1, 64))
        if what == "flip" and damaged:
            damaged[place] ^= data.draw(st.integers(1, 255))
        elif what == "insert":
            damaged[place:place] = data.draw(st.binary(min_size=1, max_size=64))
        elif what == "delete":
            del damaged[place : place + length]
        elif what == "copy":
            source = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
            damaged[place : place + length] = damaged[source : source + length]
        else:
            damaged[place : place + length] = bytes(length)
    if bytes(damaged) != whole:
        refused(tmp_path / "x.mmk", bytes(damaged))


@QUICK
@given(content=st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"PK\x03\x04" + b))
def test_any_bytes(tmp_path: Path, content: bytes):
    refused(tmp_path / "x.mmk", content)


NAMES = st.text(st.sampled_from("ab./\\:C \0é"), max_size=6) | st.sampled_from(sorted(CONTENTS))


@QUICK
@given(members=st.dictionaries(NAMES, st.binary(max_size=9), max_size=4))
def test_members_of_any_name(tmp_path: Path, members: dict[str, bytes]):
    """Whatever is listed with fitting hashes is either refused or reads back and stays inside its folder."""
    whole: dict[str, Any] = {**CONTENTS, **{name: value for name, value in members.items() if name.isascii()}}
    path = assemble(tmp_path / "x.mmk", whole)
    try:
        archive = Archive.open(path)
    except ArchiveError as error:
        message = str(error)
    else:
        message = "member: none is at fault"
        check_inside(archive, whole, tmp_path / str(zlib.crc32(repr(members).encode())))
        archive.close()
    assert "member" in message


def check_inside(archive: Archive, whole: dict[str, Any], folder: Path) -> None:
    for name, content in whole.items():
        if not (folder / name).exists():
            assert archive.extract(name, folder).resolve().is_relative_to(folder.resolve())
        assert archive.read(name) == content
