"""Folders and tables of DICOM files, from conversion to the batches of training."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="needs the extra dicom: pip install 'mmkeras[dicom]'")

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data import convert
from mmkeras.data.dataset import eval_dataset
from mmkeras.data.read import read_samples
from mmkeras.data.sources.dicom_folder import Source
from mmkeras.media.dicom.report import read_patient
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.tabular.spec import Config as TabularConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.media.dicom.dicoms import dicom_file, ramp

pytestmark = pytest.mark.tfio

IMAGE = {"image": ImageConfig(size=(16, 24))}


@pytest.fixture
def folder(tmp_path):
    """Return two classes with ten patients of two files each, one of them with three frames, and what is no image."""
    root = tmp_path / "scans"
    for number in range(20):
        place = root / ("healthy", "ill")[number // 2 % 2] / f"series{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.stack([ramp(step=n + 1) for n in range(3)]) if number == 7 else ramp(step=number + 1)
        (place / f"{number:02d}").write_bytes(
            dicom_file(pixels, PatientID=f"ID-{number // 2}", PatientName="Secret", PatientAge="045Y")
        )
    (root / "ill" / "notes.txt").write_text("Secret was here")
    (root / "ill" / "cut.dcm").write_bytes(dicom_file(ramp())[:-50])
    (root / "ill" / "DICOMDIR").write_bytes(b"index")
    (root / "DICOMDIR").write_bytes(b"index")
    return root


def config(source, folder, **fields):
    return DataConfig(source=source, folder=str(folder), workers=1, max_bad_share=0.5, **fields)


def test_a_folder_becomes_batches_and_no_patient_is_torn_or_named(folder, tmp_path):
    choice = Choice("dicom_folder", {"path": str(folder)})
    index = convert(config(choice, tmp_path / "out", split_by_group=True, train_share=0.5), IMAGE, TaskConfig())
    assert index.labels == ("healthy", "ill")
    assert index.columns == ("device",)
    assert sum(split.samples for split in index.splits.values()) == 22
    records = {name: read_samples(index, name) for name in index.splits}
    patients = {
        name: {int(r.key.split("#")[0][-2:]) // 2 for r in found if "cut" not in r.key}
        for name, found in records.items()
    }
    assert sum(map(len, patients.values())) == len(set().union(*patients.values())) == 10
    keys = [r.key for found in records.values() for r in found]
    assert [key for key in keys if "#" in key] == ["ill/series1/07#1", "ill/series1/07#2", "ill/series1/07#3"]
    with (index.folder / "quarantine.csv").open() as stream:
        bad = {row["key"]: row["reason"] for row in csv.DictReader(stream)}
    assert sorted(bad) == ["ill/cut.dcm", "ill/notes.txt"]
    assert "not a DICOM file" in bad["ill/notes.txt"]
    written = b"".join(path.read_bytes() for path in sorted(index.folder.rglob("*")) if path.is_file())
    assert b"Secret" not in written
    assert b"ID-" not in written
    assert not any(hashlib.sha256(f"ID-{number}".encode()).hexdigest().encode() in written for number in range(10))
    for found in records.values():
        pairs = {(int(r.key.split("#")[0][-2:]) // 2, r.group) for r in found if "cut" not in r.key}
        assert len({patient for patient, _ in pairs}) == len({group for _, group in pairs}) == len(pairs)
    specs = {"image": IMAGE["image"].spec("image")}
    task = TaskConfig(labels=index.labels).spec()
    images = [inputs["image"] for inputs, *_ in eval_dataset(index, "train", specs, task, batch_size=4)]
    assert images[0].shape[1:] == (16, 24, 3)
    assert np.concatenate(images).std() > 10


def test_frames_can_be_chosen(folder):
    frames: Any
    for frames, keys in (("first", ["ill/series1/07#1"]), ("middle", ["ill/series1/07#2"])):
        found = [sample.key for sample in Source(str(folder), frames=frames).samples()]
        assert [key for key in found if "07" in key] == keys
    with pytest.raises(ConfigError, match="every"):
        Source(str(folder), frames=cast("Any", "evry"))


def test_a_table_names_frames_and_notices_changed_files(folder, tmp_path):
    path = folder / "ill" / "series1" / "07"
    table = tmp_path / "t.csv"
    table.write_text("file,label\n" + "".join(f"{path}#{number},{number % 2}\n" for number in (1, 2, 3, 4)))
    choice = Choice("table", {"path": str(table), "columns": {"image": "file"}})
    first = convert(config(choice, tmp_path / "out"), IMAGE, TaskConfig())
    assert first.quarantined == 1
    with (first.folder / "quarantine.csv").open() as stream:
        assert [row["reason"] for row in csv.DictReader(stream)] == [f"{path}#4: expected a frame from 1 to 3, got 4"]
    path.write_bytes(dicom_file(np.stack([ramp()] * 4)))
    assert convert(config(choice, tmp_path / "out"), IMAGE, TaskConfig()).quarantined == 0


def test_what_is_no_folder_of_classes_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        list(Source(str(tmp_path / "no")).samples())
    with pytest.raises(DataError, match=r"expected .*<label>/<file>"):
        list(Source(str(tmp_path)).samples())


def test_reports_and_patients_are_read_and_nobody_is_named(folder, tmp_path):
    for path in sorted(folder.rglob("[0-9][0-9]")):
        text = f"Secret, ID-{int(path.name) // 2}: shadow on the left of scan {path.name}."
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    options: dict[str, Any] = {"path": str(folder), "report": "text", "patient": "row", "frames": "first"}
    (folder / "ill" / "notes.txt").unlink()
    samples = [sample for sample in Source(**options).samples() if not isinstance(sample.target, DataError)]
    read = {Path(sample.key).name: sample.values for sample in samples}
    assert len(read) == 21
    assert read["03"]["text"] == "[removed], [removed]: shadow on the left of scan 03."
    assert read["cut.dcm"]["text"] is None
    modalities = {
        **IMAGE,
        "text": TextConfig(max_length=16),
        "row": TabularConfig(numbers=("age",), categories=("sex",)),
    }
    choice = Choice("dicom_folder", options)
    index = convert(config(choice, tmp_path / "out", split_by_group=True, train_share=0.5), modalities, TaskConfig())
    written = b"".join(path.read_bytes() for path in sorted(index.folder.rglob("*")) if path.is_file())
    assert b"shadow on the left" in written
    assert b"Secret" not in written
    assert b"ID-" not in written


def test_a_changed_report_changes_the_fingerprint(folder):
    report = next(folder.rglob("03")).with_suffix(".txt")
    report.write_text("before")
    plain, reading = Source(path=str(folder)), Source(path=str(folder), report="text")
    before = reading.fingerprint_inputs()
    report.write_text("after this")
    assert reading.fingerprint_inputs() != before
    assert report in plain._files()
    assert report not in reading._files()


def test_real_files_with_reports_name_nobody(shared_data, tmp_path):
    root, names, used = tmp_path / "scans", set(), 0
    for place in sorted(shared_data("pydicom_data").rglob("*.dcm")):
        try:
            found = read_patient(place, place.name).names
        except DataError:
            continue
        copy = root / ("a" if used % 2 else "b") / place.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(place.read_bytes())
        copy.with_suffix(".txt").write_text(f"Seen: {' and '.join(found)}. Unchanged.", encoding="utf-8")
        names |= {name for name in found if len(name) > 3}
        used += 1
    assert used > 20
    assert len(names) > 20
    modalities = {
        **IMAGE,
        "text": TextConfig(max_length=16),
        "row": TabularConfig(numbers=("age",), categories=("sex",)),
    }
    choice = Choice("dicom_folder", {"path": str(root), "report": "text", "patient": "row", "frames": "first"})
    wide = dataclasses.replace(config(choice, tmp_path / "out"), max_bad_share=0.9)
    index = convert(wide, modalities, TaskConfig())
    texts = [record.values.get("text") for split in index.splits for record in read_samples(index, split)]
    assert len(texts) > 20
    for text in texts:
        words = "" if text is None else str(text)
        assert not [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words)]
