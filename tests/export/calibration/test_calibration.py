from __future__ import annotations

import numpy as np

from export.calibration.calibration import Calibration, fingerprint_of


def make(count: int = 7) -> Calibration:
    inputs = {
        "points": np.arange(count * 6, dtype="float32").reshape(count, 3, 2),
        "mask": np.ones((count, 3), "int32"),
    }
    return Calibration(inputs, tuple(map(str, range(count))), "train", {"class": {"a": count}})


def test_samples_come_one_by_one():
    calibration = make()
    batches = list(calibration.batches())
    assert len(batches) == len(calibration) == 7
    assert batches[2]["points"].shape == (1, 3, 2)
    assert (np.concatenate([batch["points"] for batch in batches]) == calibration.inputs["points"]).all()


def test_the_fingerprint_tells_names_shapes_dtypes_and_values_apart():
    inputs = make().inputs
    same = {name: inputs[name].copy() for name in reversed(inputs)}
    assert fingerprint_of(same) == fingerprint_of(inputs) == make().fingerprint
    assert fingerprint_of({**inputs, "points": inputs["points"].astype(">f4")}) == fingerprint_of(inputs)
    others = [
        {**inputs, "points": inputs["points"].reshape(7, 2, 3)},
        {**inputs, "points": inputs["points"].view("int32")},
        {**inputs, "points": inputs["points"] + np.float32(1)},
        {"points": inputs["mask"], "mask": inputs["points"]},
        {"mask": inputs["mask"]},
    ]
    assert len({fingerprint_of(each) for each in [inputs, *others]}) == 6


def test_what_goes_into_the_manifest():
    calibration = make().with_warnings(["few"]).with_warnings(["few", "old"])
    assert calibration.to_json() == {
        "samples": 7,
        "source": "train",
        "fingerprint": make().fingerprint,
        "strata": {"class": {"a": 7}},
        "warnings": ["few", "old"],
    }
