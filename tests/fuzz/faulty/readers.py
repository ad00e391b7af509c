"""Readers with every fault that the fuzzer must count; what they do depends on the damaged byte."""

from __future__ import annotations

import faulthandler
import time
from pathlib import Path

from mmkeras.core.errors import DataError
from tests.fuzz.reader import Reader

__all__ = ["READERS"]


def _write(folder: Path) -> None:
    (folder / "valid.bin").write_bytes(b"valid")


def _crash(path: Path) -> None:
    if path.read_bytes() != b"valid":
        faulthandler._sigsegv()  # type: ignore[attr-defined]


def _hang(path: Path) -> None:
    if path.read_bytes() != b"valid":
        time.sleep(60)


def _grow(path: Path) -> None:
    if path.read_bytes() != b"valid":
        try:
            bytearray(1 << 30)
        except MemoryError as error:
            raise DataError("told in other words") from error


def _foreign(path: Path) -> None:
    if path.read_bytes() != b"valid":
        raise KeyError("shape")


def _refuse(path: Path) -> None:
    if path.read_bytes() != b"valid":
        raise DataError(f"{path}: damaged")


READERS = (
    Reader("crashes", _write, _crash),
    Reader("hangs", _write, _hang),
    Reader("grows", _write, _grow),
    Reader("raises", _write, _foreign),
    Reader("refuses", _write, _refuse),
)
