from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmkeras.core.config import DataConfig
from mmkeras.core.errors import DataError
from mmkeras.data.encode import Encoded, Encoder
from mmkeras.data.fingerprint import shaped_by
from mmkeras.data.sources import Sample
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.detection.spec import Config
from tests.tasks.detection.maps import CAMERA, random_boxes

TASK = Config(camera=CAMERA)


def test_objects_are_counted_by_class():
    boxes = random_boxes(np.random.default_rng(0), 8)
    target = {"boxes": boxes}
    sample = Sample(key="a", values={"text": "rain"}, target=target, split=None, group=None, columns={}, origin="a:1")
    (encoded,) = Encoder({"text": TextConfig()}, TASK.spec()).encode([sample], "train")
    assert isinstance(encoded, Encoded)
    truth = TASK.spec().truth(TASK.spec().target.from_bytes(encoded.targets["target"]))
    assert encoded.labels == [TASK.labels[i] for i in truth.label]
    assert 1 < len(encoded.labels) <= 8


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"camera": (256, 96, 200, 128, 40)}, False),
        ({"camera_pose": (1.0, 0.0, 1.5, 0.5, -0.5, 0.5, -0.5)}, False),
        ({"max_objects": 8}, False),
        ({"labels": ("car",)}, False),
        ({"stride": 4, "score_threshold": 0.5, "dropout": 0.1}, True),
    ],
)
def test_what_shapes_a_target_shapes_the_data(change: dict[str, Any], same: bool):
    data = DataConfig()
    first, second = (shaped_by(data, {}, task) for task in (TASK, dataclasses.replace(TASK, **change)))
    assert (first == second) == same


def test_a_model_gets_the_targets_it_was_made_for(tmp_path: Path):
    from mmkeras.data.features import check_specs

    spec = TASK.spec()
    task = json.loads(json.dumps(spec.to_json()))
    index: Any = SimpleNamespace(
        folder=tmp_path, modalities={}, task=task, targets={spec.target.name: str(spec.target)}
    )
    check_specs(index, {}, TASK.spec())
    check_specs(index, {}, dataclasses.replace(TASK, stride=16).spec())
    for change in ({"camera": (256, 96, 200, 128, 40)}, {"max_objects": 8}):
        other = dataclasses.replace(TASK, **change).spec()
        with pytest.raises(DataError, match=f"encoded with the {next(iter(change))}"):
            check_specs(index, {}, other)
