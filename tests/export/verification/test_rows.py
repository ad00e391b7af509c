"""Arrays that may be larger than memory: read as any other, wherever they are."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from export.verification import rows as module
from export.verification.rows import FileRows, allocate
from mmkeras.core.errors import ExportError


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
def test_rows_of_a_file_are_those_of_an_array(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    expected = np.arange(7 * 3 * 2).reshape(7, 3, 2).astype(dtype)
    small = allocate(7, expected[:2])
    assert isinstance(small, np.ndarray)
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    found = allocate(7, expected[:2])
    assert isinstance(found, FileRows)
    for start in range(0, 7, 3):
        small[start : start + 3] = found[start : start + 3] = expected[start : start + 3]
    assert (found.shape, found.dtype, len(found)) == (expected.shape, expected.dtype, 7)
    for each in (slice(2, 5), slice(None), slice(0, 0), np.array([6, 0, 0]), np.arange(0)):
        np.testing.assert_array_equal(found[each], expected[each])
        np.testing.assert_array_equal(small[each], expected[each])


def test_a_disk_without_room_is_named_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(ExportError, match=r"keeps 4\.1 GB .* has 1\.0 GB free.*TMPDIR"):
        FileRows(500, (360, 480, 12), np.dtype("float32"))
