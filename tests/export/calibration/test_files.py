from __future__ import annotations

import numpy as np
import pytest

from export.calibration.calibration import Calibration, fingerprint_of, load_calibration, save_calibration
from mmkeras.core.errors import DataError

N = 4


@pytest.fixture
def arrays(data) -> dict[str, np.ndarray]:
    _, specs = data
    tensors = [t for spec in specs.values() for t in (*spec.tensors, spec.present)]
    found = {t.name: t.zeros(N) for t in tensors}
    found["text_padding_mask"][:, :3] = 1
    found["text_token_ids"][:, :3] = (2, 5, 3)
    found |= {"image_present": np.ones(N, "float32"), "text_present": np.array([1, 1, 1, 0], "float32")}
    return found


def test_what_is_saved_is_what_is_loaded(data, arrays, tmp_path):
    _, specs = data
    calibration = Calibration(arrays, tuple("abcd"), "train")
    path = save_calibration(calibration, tmp_path / "set.npz")
    loaded = load_calibration(path, specs)
    assert loaded.fingerprint == calibration.fingerprint
    assert loaded.source == str(path)
    assert loaded.keys == tuple(f"set.npz/{n}" for n in range(N))
    assert loaded.strata == {"present": {"image": 1, "image+text": 3}, "text_length": {"3": 4}}
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]
    with pytest.raises(DataError, match="cannot be written"):
        save_calibration(calibration, tmp_path / "nowhere" / "set.npz")


def test_other_dtypes_are_taken_where_no_value_changes(data, arrays, write):
    _, specs = data
    wide = {name: array.astype("float64" if array.dtype.kind == "f" else "int64") for name, array in arrays.items()}
    loaded = load_calibration(write(**wide), specs)
    assert loaded.fingerprint == fingerprint_of(arrays)
    scaled = {**arrays, "image": np.full(arrays["image"].shape, 0.5, "float32")}
    with pytest.raises(DataError, match=r"image: expected uint8, got float32 with values such as 0\.5"):
        load_calibration(write(**scaled), specs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, r"the inputs \['image'\] are missing.*image uint8 \(N, 16, 24, 3\)"),
        ({"picture": np.zeros(4)}, "'picture' is no input of the model"),
        (
            {"image": np.zeros((4, 24, 16, 3), "uint8")},
            r"image: expected the shape \(N, 16, 24, 3\), got \(4, 24, 16, 3\)",
        ),
        ({"image": np.zeros((3, 16, 24, 3), "uint8")}, "the same number of samples in every array"),
        ({"text_present": np.float32(1)}, r"text_present: expected the shape \(N,\), got \(\)"),
        ({"text_present": np.array([1, np.nan, 1, 1])}, "text_present: holds NaN or infinity in sample 1"),
        ({"text_present": np.array([0.5, 1, 1, 1])}, "text_present: expected 0 and 1 only, got 0.5"),
        ({"text_padding_mask": np.full((4, 6), 2)}, "text_padding_mask: expected 0 and 1 only"),
        ({"image": np.full((4, 16, 24, 3), "x")}, "image: expected uint8, got <U1"),
        ({"image": np.full((4, 16, 24, 3), None)}, "pickled objects, which are never loaded"),
    ],
)
def test_arrays_that_are_not_the_models_are_refused(data, arrays, write, change, message):
    given = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    with pytest.raises(DataError, match=message):
        load_calibration(write(**given), data[1])


def test_empty_damaged_and_missing_files_are_refused(data, arrays, write, tmp_path):
    _, specs = data
    with pytest.raises(DataError, match="holds no samples"):
        load_calibration(write(**{name: array[:0] for name, array in arrays.items()}), specs)
    path = write(**arrays)
    whole = path.read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"samples\.npz"):
            load_calibration(path, specs)
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            load_calibration(path, specs)
        except DataError as error:
            assert "samples.npz" in str(error)  # noqa: PT017
    path.write_bytes(b"not a zip at all")
    with pytest.raises(DataError, match=r"samples\.npz: not a \.npz file"):
        load_calibration(path, specs)
    with pytest.raises(DataError, match="no such file"):
        load_calibration(tmp_path / "none.npz", specs)
    with pytest.raises(DataError, match="not a whole"):
        load_calibration(tmp_path, specs)
    np.save(tmp_path / "one.npy", arrays["image"])
    with pytest.raises(DataError, match=r"a single array; expected a \.npz"):
        load_calibration(tmp_path / "one.npy", specs)


def test_a_submodel_takes_its_own_arrays_of_the_whole_models_file(data, arrays, write):
    specs = {"image": data[1]["image"]}
    path = write(**arrays)
    with pytest.raises(DataError, match="is no input of the model"):
        load_calibration(path, specs)
    assert set(load_calibration(path, specs, part=True).inputs) == {"image", "image_present"}
