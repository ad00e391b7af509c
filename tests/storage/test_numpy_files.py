from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmkeras.storage.numpy_files import read_npy, read_npz

pytestmark = pytest.mark.tfio


@pytest.mark.parametrize("dtype", ["|S0", "<U0", "|V0"])
def test_values_without_bytes_are_no_way_to_promise_a_billion_of_them(tmp_path: Path, dtype: str):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': (1000000000,)}}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match="have no bytes"):
        read_npy(tmp_path / "x.npy")


def test_what_numpy_writes_is_read(tmp_path: Path):
    for number, array in enumerate((np.zeros((0, 3)), np.array(["", "a"]), np.arange(6).reshape(2, 3).T, np.array(""))):
        np.save(tmp_path / f"{number}.npy", array)
        np.testing.assert_array_equal(read_npy(tmp_path / f"{number}.npy"), array)
        np.savez(tmp_path / f"{number}.npz", a=array)
        np.testing.assert_array_equal(read_npz(tmp_path / f"{number}.npz")["a"], array)
