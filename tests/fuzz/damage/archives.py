"""Damage to zip files (.npz, .keras) and numpy arrays: members that lie, grow, leave the archive or hold objects."""

from __future__ import annotations

import functools
import io
import random
import struct
import zipfile
import zlib

from tests.fuzz.damage import raw, values

__all__ = ["damage", "zip_of"]

_NAMES = ("../out.npy", "/etc/x.npy", "a/../../b", "", "config.json", "x" * 300, "inputs/", "keys.npy", "\x00")
_SHAPES = (
    "(1000000000,)",
    "(1000000, 1000000)",
    "(0,)",
    "()",
    "(-1,)",
    "(2, 3)",
    "(1,) * 9",
    "(" * 300,
    "(1" + ",1" * 70 + ")",
)
_TYPES = (
    "'|O'",
    "'<f8'",
    "'<U1000000'",
    "'|S0'",
    "'|V9'",
    "'<M8[ns]'",
    "[('a', '<f4')]",
    "'nonsense'",
    "None",
    "'|b1'",
)
_GROWN = 4 << 30
"""What a bomb unpacks to: more than any reader may hold."""
_UNPACKED = 64 << 20
"""An archive that holds more is a bomb already and is not unpacked here."""


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return an archive or array damaged in its structure."""
    return _array(content, chance) if content.startswith(b"\x93NUMPY") else _zip(content, chance)


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file that has the same bytes every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def _zip(content: bytes, chance: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _UNPACKED:
                return raw.damage(content, (), chance)
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # it is damaged already
        return raw.damage(content, (), chance)
    if not members:
        return content
    name = chance.choice(list(members))
    kind = chance.choice(("inside", "inside", "inside", "inside", "drop", "rename", "size", "bomb", "deflate"))
    if kind == "inside":
        if name.endswith(".json"):
            members[name] = values.json_damage(members[name], chance)
        elif members[name].startswith(b"\x93NUMPY") and chance.random() < 0.7:
            members[name] = _array(members[name], chance)
        else:
            members[name] = raw.damage(members[name], list(members.values()), chance)
    elif kind == "drop":
        del members[name]
    elif kind == "rename":
        members[chance.choice(_NAMES) or "a"] = members.pop(name)
    elif kind == "bomb":
        return _bomb(name, members[name][:128])
    packed = zip_of(members, zipfile.ZIP_DEFLATED if kind == "deflate" else zipfile.ZIP_STORED)
    return _lying(packed, chance) if kind == "size" else packed


def _lying(packed: bytes, chance: random.Random) -> bytes:
    """Change a size, a checksum or an offset in the directory."""
    entry = packed.find(b"PK\x01\x02")
    changed = bytearray(packed)
    place = entry + chance.choice((10, 16, 20, 24, 42))
    changed[place : place + 4] = struct.pack("<I", chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF)))
    return bytes(changed)


def _bomb(name: str, head: bytes) -> bytes:
    """Return a zip whose one member unpacks to 4 GiB: one deflated block of zeros, over and over."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
    data = start + _zeros() * (_GROWN >> 22) + squeeze.flush()
    size, encoded = min(_GROWN + len(head), 0xFFFFFFFE), name.encode()
    fields = struct.pack("<5H3I2H", 20, 0, 8, 0, 0x21, 0, len(data), size, len(encoded), 0)
    local = b"PK\x03\x04" + fields + encoded
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, 0) + encoded
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central), len(local) + len(data), 0)
    return local + data + central + end


@functools.cache
def _zeros() -> bytes:
    """Return 4 MiB of zeros as a deflated block that stands for itself."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(bytes(1 << 22)) + squeeze.flush(zlib.Z_FULL_FLUSH)


def _array(content: bytes, chance: random.Random) -> bytes:
    """Return a .npy file whose header says something else, in the right form."""
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin-1")
    kind = chance.choice(("shape", "type", "order", "raw"))
    if kind == "shape":
        start = header.find("(")
        header = header[:start] + chance.choice(_SHAPES) + header[header.find(")") + 1 :]
    elif kind == "type":
        start = header.find("'descr': ") + 9
        header = header[:start] + chance.choice(_TYPES) + header[header.find(", 'fortran") :]
    elif kind == "order":
        header = header.replace("False", chance.choice(("True", "7", "None", "'a'")))
    else:
        header = raw.damage(header.encode("latin-1"), (), chance).decode("latin-1")
    encoded = header.encode("latin-1")[:0xFFFF]
    return content[:8] + struct.pack("<H", len(encoded)) + encoded + content[10 + length :]
