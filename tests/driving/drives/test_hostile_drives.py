"""Files of Astyx and comma2k19 that were made to harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmkeras.core.errors import DataError
from mmkeras.driving.drives import astyx, comma2k19
from tests.fuzz.reader import find_readers


@pytest.mark.parametrize("name", ["camera_" + "x" * 300, "camera/../../etc", "camera\0x", "camera_/x"])
def test_a_sensor_names_a_folder_beside_it(tmp_path: Path, name: str):
    find_readers(("astyx",))["astyx"].write(tmp_path)
    assert len(list(astyx.snapshots(tmp_path))) == 2
    path = tmp_path / "calibration" / "000001.json"
    content = json.loads(path.read_text())
    content["sensors"][1]["sensor_uid"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"000001\.json: sensor_uid: expected the name of a folder, got 'camera"):
        list(astyx.snapshots(tmp_path))


def test_a_camera_matrix_without_floats(tmp_path: Path):
    find_readers(("comma2k19",))["comma2k19"].write(tmp_path)
    assert len(list(comma2k19.snapshots(tmp_path))) == 1
    (tmp_path / "camera_intrinsics.txt").write_text(f"[[1{'0' * 400}, 0, 1], [0, 1, 1], [0, 0, 1]]")
    with pytest.raises(DataError, match="expected a camera matrix"):
        list(comma2k19.snapshots(tmp_path))
