"""A picture with the cells of a patient, from a table to answers of the packed bundle; and cells alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from mmkeras.bundle import Bundle
from mmkeras.modalities.tabular.spec import UNKNOWN, Spec
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from tests.toys.chain import PICTURE, Chain, command, reads_otherwise, run_chain
from tests.toys.tables import write_patients

PATIENT = """
[model]
width = 16
[model.patient]
kind = "tabular"
numbers = ["age"]
dates = ["seen on"]
categories = ["ward"]
layers = 1
heads = 2
"""
ROW = {"age": 63, "seen on": "2024-05-31", "ward": "B"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("rows")
    config = f"{PATIENT}[model.image]{PICTURE}"
    return run_chain(folder, write_patients(folder), {"image": "picture"}, config, ("saved_model", "tflite", "onnx"))


def test_every_file_is_accepted_in_every_scenario(chain: Chain):
    assert chain.report.accepted, [file.reason for file in chain.report.files]
    for file in chain.report.files:
        assert {"without_patient", "one_column_missing_patient", "unknown_categories_patient"} <= set(file.scenarios)


def test_the_statistics_of_the_run_are_those_of_its_training_rows(chain: Chain):
    manifest = json.loads((chain.bundle() / "manifest.json").read_text("utf-8"))
    (patient,) = (each for each in manifest["modalities"] if each["name"] == "patient")
    assert sorted(*patient["known"]) == ["7", "A", "B"]
    assert 40 < patient["means"][0] < 60


def test_golden_rows_have_the_names_of_their_columns(chain: Chain):
    raw = json.loads((chain.bundle() / "golden" / "raw.json").read_text("utf-8"))
    rows = [entry["values"]["patient"] for entry in raw]
    assert all(json.loads(row["text"]).keys() == {"age", "seen on", "ward"} for row in rows if row is not None)


def test_the_packed_bundle_proves_itself_and_answers(chain: Chain):
    with Bundle.open(chain.packed()) as bundle:
        assert selftest(bundle).passed
    with Predictor(chain.packed()) as predictor:
        whole = predictor.predict(image=chain.folder / "3.png", patient=ROW)
        for row in ({**ROW, "ward": None}, {"age": 63}):
            assert predictor.predict(image=chain.folder / "3.png", patient=row) != whole
        assert np.isfinite(predictor.predict(patient=ROW)["confidence"])
    arguments = ("predict", chain.bundle(), "--image", chain.folder / "3.png", "--patient")
    assert command(*arguments, json.dumps(ROW))[0] == 0
    assert command(*arguments, json.dumps({"aeg": 3}))[0] != 0


def test_cells_alone_make_a_model(tmp_path):
    chain = run_chain(tmp_path, write_patients(tmp_path), {}, PATIENT, ("tflite",))
    assert chain.report.accepted
    assert not any("without" in name for file in chain.report.files for name in file.scenarios)


def _more(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["patient_numbers"] *= np.float32(1.001)


def _cut_earlier(spec: Spec, made: dict[str, np.ndarray]) -> None:
    np.clip(made["patient_numbers"], -3.0, 3.0, out=made["patient_numbers"])


def _never_missing(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["patient_missing"][:] = 0.0


def _week_reversed(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["patient_numbers"][-2:] = made["patient_numbers"][-2:][::-1].copy()


def _unknown_is_the_first(spec: Spec, made: dict[str, np.ndarray]) -> None:
    base = spec.offsets[:-1]
    indices = made["patient_categories"]
    indices[indices == base + UNKNOWN] += 1


@pytest.mark.parametrize("fault", [_more, _cut_earlier, _never_missing, _week_reversed, _unknown_is_the_first])
def test_a_device_that_reads_rows_otherwise_fails_its_self_test(
    chain: Chain, fault: Callable[[Spec, dict[str, np.ndarray]], None]
):
    packed = chain.packed()
    with reads_otherwise(Spec, fault), Bundle.open(packed) as bundle:
        assert not selftest(bundle).passed
