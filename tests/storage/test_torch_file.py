from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.storage.torch_file import read_torch_file
from tests.storage.torch_files import write_torch_file

TENSORS = {
    "plain": np.arange(24, dtype="float32").reshape(2, 3, 4),
    # Converted weights keep the order of their old dimensions in the storage.
    "turned": np.arange(6, dtype="float32").reshape(2, 3).T,
    "count": np.array(7, "int64"),
}


def test_tensors_are_read_in_any_order_of_dimensions(tmp_path: Path):
    read = read_torch_file(write_torch_file(tmp_path / "a.pth", TENSORS))
    assert read.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].dtype == value.dtype


class _Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("first", [True, False])
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, first: bool):
    planted = _Runs(tmp_path / "ran")
    path = tmp_path / "a.pth"
    if first:
        path.write_bytes(pickle.dumps(planted, protocol=2))
    else:
        write_torch_file(path, TENSORS, more=planted)
    # The file does what it says where plain pickle reads it.
    with pytest.raises(DataError, match=r"a\.pth: names (posix|nt)\.mkdir, which tensors do not need"):
        read_torch_file(path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(planted))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": 10**9}, "is cut off, or has 24 elements"),
        ({"shape": (2, 3, 400)}, "is larger than its storage"),
        ({"shape": (-1, 3, 4)}, r"a tensor has the shape \(-1, 3, 4\)"),
        ({"more": 3}, "expected tensors by name"),
    ],
)
def test_wrong_sizes_are_refused(tmp_path: Path, options: dict, message: str):
    with pytest.raises(DataError, match=message):
        read_torch_file(write_torch_file(tmp_path / "a.pth", TENSORS, **options))


def test_every_cut_is_refused(tmp_path: Path):
    content = write_torch_file(tmp_path / "a.pth", TENSORS).read_bytes()
    for length in range(0, len(content), 7):
        (tmp_path / "b.pth").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"b\.pth"):
            read_torch_file(tmp_path / "b.pth")
    (tmp_path / "b.pth").write_bytes(content + b"x")
    with pytest.raises(DataError, match="1 bytes behind the last storage"):
        read_torch_file(tmp_path / "b.pth")


def test_the_newer_format_is_named(tmp_path: Path):
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="newer"):
        read_torch_file(tmp_path / "a.pth")
