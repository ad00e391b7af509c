from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mmkeras.bundle.archive import Archive, write_archive
from mmkeras.bundle.archive.unpacked import Unpacked
from mmkeras.bundle.archive.writer import sign_archive
from mmkeras.core.errors import ArchiveError, BundleError, ConfigError, DataError
from tests.bundle.archive.samples import CONTENTS, packed


def test_round_trip(unsigned: Path, tmp_path: Path):
    archive = Archive.open(unsigned)
    assert set(archive.members) == set(CONTENTS)
    assert archive.signature is None
    for name, content in CONTENTS.items():
        assert archive.read(name) == content
        assert archive.extract(name, tmp_path).read_bytes() == content
    for _ in range(2):
        with pytest.raises(ArchiveError, match=r"has no member 'edge/other'"):
            archive.extract("edge/other", tmp_path)
    assert not (tmp_path / "edge/other").exists()
    with pytest.raises(ArchiveError, match=r"manifest.json.*cannot be unpacked.*File exists"):
        archive.extract("manifest.json", tmp_path)
    archive.close()


def test_the_error_is_one_of_bundles_and_of_data():
    assert issubclass(ArchiveError, BundleError)
    assert issubclass(ArchiveError, DataError)


def test_it_is_a_plain_zip_that_python_runs(unsigned: Path):
    with zipfile.ZipFile(unsigned) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["sha256.json", *sorted(CONTENTS)]
        listed = json.loads(archive.read("sha256.json"))["members"]
        for name, content in CONTENTS.items():
            assert archive.read(name) == content
            assert listed[name] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert stat.filemode(member.external_attr >> 16) == "-rw-r--r--"
    done = subprocess.run([sys.executable, "-I", unsigned], capture_output=True, text=True, check=False)
    assert done.stdout == "runs\n"


def test_the_same_content_gives_the_same_bytes(unsigned: Path, tmp_path: Path):
    folder = tmp_path / "files"
    contents: dict[str, Path | bytes] = {}
    for name in reversed(CONTENTS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[name])  # type: ignore[arg-type]
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
        contents[name] = path
    again = write_archive(tmp_path / "again.mmk", contents)
    assert again.read_bytes() == unsigned.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.mmk", "files"]


def test_members_become_files_in_a_private_folder_that_goes(unsigned: Path):
    unpacked = Unpacked(Archive.open(unsigned))
    assert stat.S_IMODE(unpacked.folder.stat().st_mode) == 0o700
    assert list(unpacked.folder.iterdir()) == []
    unpacked.get(["edge/empty.bin", "edge/tiny.float32.tflite", "edge/empty.bin"])
    assert sorted(path.name for path in (unpacked.folder / "edge").iterdir()) == ["empty.bin", "tiny.float32.tflite"]
    unpacked.close()
    assert not unpacked.folder.exists()
    folder = Unpacked(Archive.open(unsigned)).folder
    assert not folder.exists()


def test_nowhere_to_unpack_to(unsigned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(ArchiveError, match=r"no folder to unpack its members to.*Set TMPDIR"):
        Unpacked(Archive.open(unsigned))


def test_a_file_that_changes_while_it_is_open(tmp_path: Path):
    path = packed(tmp_path)
    archive = Archive.open(path)
    content = path.read_bytes()
    place = content.index(bytes(range(256)))
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"!")
    with pytest.raises(ArchiveError, match=r"edge/tiny.float32.tflite' was changed while"):
        archive.read("edge/tiny.float32.tflite")
    with pytest.raises(ArchiveError, match="was changed while"):
        archive.extract("edge/tiny.float32.tflite", tmp_path / "out")
    assert not list((tmp_path / "out" / "edge").iterdir())
    archive.close()


def test_signature(unsigned: Path, signed: Path, keys: dict[str, Path]):
    archive = Archive.open(signed, keys["public"])
    assert archive.signature is not None
    archive.close()
    Archive.open(signed).close()
    with pytest.raises(ArchiveError, match=r"'signature.json' does not fit .*other"):
        Archive.open(signed, keys["other"])
    with pytest.raises(ArchiveError, match=r"'signature.json' is missing: .*unsigned"):
        Archive.open(unsigned, keys["public"])


@pytest.mark.parametrize("name", ["elliptic", "text", "private"])
def test_a_file_that_is_no_public_key(signed: Path, keys: dict[str, Path], name: str):
    with pytest.raises(ConfigError, match="expected an Ed25519 public key"):
        Archive.open(signed, keys[name])


def test_a_key_that_is_not_there(signed: Path, tmp_path: Path, keys: dict[str, Path]):
    with pytest.raises(ConfigError, match="cannot be read"):
        Archive.open(signed, tmp_path / "gone.pem")
    with pytest.raises(ConfigError, match="expected an Ed25519 private key"):
        packed(tmp_path, keys["public"])
    assert not list(tmp_path.iterdir())


def test_signing_later_is_the_same_as_signing_at_once(signed: Path, tmp_path: Path, keys: dict[str, Path]):
    later = sign_archive(packed(tmp_path), keys["private"])
    assert later.read_bytes() == signed.read_bytes()
    assert sign_archive(later, keys["private"]).read_bytes() == signed.read_bytes()


def test_a_signature_moved_to_other_content_does_not_fit(tmp_path: Path, signed: Path, keys: dict[str, Path]):
    """The attacker packs other content and puts the real signature there."""
    from tests.bundle.archive.hostile import assemble

    archive = Archive.open(signed)
    assert archive.signature is not None
    signature = archive.signature.render()
    archive.close()
    members = {**CONTENTS, "edge/tiny.float32.tflite": b"evil"}
    path = assemble(tmp_path / "moved.mmk", members, signature=signature)
    Archive.open(path).close()
    with pytest.raises(ArchiveError, match=r"'signature.json' does not fit"):
        Archive.open(path, keys["public"])


def test_nothing_is_written_that_would_not_be_read(tmp_path: Path):
    for name in ("../x", "a/../b", "/etc/passwd", "a//b", "a\\b", "C:x", "ä", "x\n", "MANIFEST.json", "edge"):
        with pytest.raises(ArchiveError, match="member"):
            write_archive(tmp_path / "bad.mmk", {**CONTENTS, name: b""})
    with pytest.raises(ArchiveError, match=r"'manifest.json' is missing"):
        write_archive(tmp_path / "bad.mmk", {"__main__.py": b""})
    with pytest.raises(ArchiveError, match=r"cannot be read for the member 'gone'"):
        write_archive(tmp_path / "bad.mmk", {**CONTENTS, "gone": tmp_path / "gone"})
    assert not list(tmp_path.iterdir())
