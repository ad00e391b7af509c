from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data import Index, convert
from mmkeras.data.dataset import eval_dataset
from mmkeras.data.plan import make_plan
from mmkeras.data.read import read_samples, read_targets
from mmkeras.data.sources import Sample
from mmkeras.modalities import Facts
from mmkeras.tasks.classification.spec import Config as TaskConfig
from mmkeras.tasks.multilabel import spec as multilabel
from mmkeras.tasks.regression import spec as regression
from tests.data.tables import good_rows, modality_configs, table_config, write_csv, write_images
from tests.media.image.pictures import bad_files, converted_files, file, picture, without_checksum

pytestmark = pytest.mark.tfio


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def prepare(folder: Path, count: int = 60, **options: object) -> DataConfig:
    rows = good_rows(write_images(folder, 6), count)
    roles = {"group": "patient", "weight": "weight"}
    return table_config(write_csv(folder / "t.csv", rows), folder / "out", roles | options, samples_per_shard=20)


def test_every_row_is_converted_once(tmp_path):
    index = convert(prepare(tmp_path), modality_configs(tmp_path), TaskConfig())
    assert index.rows == sum(split.samples for split in index.splits.values()) == 60
    assert index.labels == ("a", "b", "c")
    assert index.columns == ("colour",)
    assert index.modalities == {"image": "image", "text": "text"}
    assert index.quarantined == 0
    records = {name: read_samples(index, name) for name in index.splits}
    keys = [record.key for samples in records.values() for record in samples]
    assert sorted(keys) == sorted(f"t.csv:{n + 2}" for n in range(60))
    for record in (r for samples in records.values() for r in samples):
        n = int(record.key.split(":")[1]) - 2
        assert record.values["image"] == (tmp_path / f"{n % 6}.png").read_bytes()
        assert record.values["text"] == f"word{n % 10} word{n % 7}"
        assert index.labels[int(record.target)] == "abc"[n % 3]
        assert record.weight == 1 + n % 2
        assert record.columns == {"colour": "red" if n % 5 else "blue"}
    for name, split in index.splits.items():
        assert sum(split.classes.values()) == split.samples == sum(shard.samples for shard in split.shards)
        assert len(read_samples(index, name, 2)) == min(2, split.samples)
    patients = {name: {(int(r.key.split(":")[1]) - 2) // 4 for r in samples} for name, samples in records.items()}
    assert sum(map(len, patients.values())) == 15
    for samples in records.values():
        pairs = {((int(r.key.split(":")[1]) - 2) // 4, r.group) for r in samples}
        assert sorted(group for _, group in pairs) == list(range(len(pairs))), "a number for each patient of the split"
    assert all(isinstance(record.values["text"], str) for record in read_samples(index, "train"))
    assert Index.load(index.folder) == index


def test_a_second_run_converts_nothing(tmp_path):
    config, task = prepare(tmp_path), TaskConfig()
    first = convert(config, modality_configs(tmp_path), task)
    before = stamps(first.folder)
    other_head = TaskConfig(dropout=0.5)
    other_model = modality_configs(tmp_path, flip=True)
    assert convert(config, other_model, other_head) == first
    assert stamps(first.folder) == before
    (tmp_path / "0.png").write_bytes(file(picture(9, 9)))
    changed = convert(config, modality_configs(tmp_path), task)
    assert changed.fingerprint != first.fingerprint
    assert stamps(first.folder) == before


def test_what_shapes_the_shards_changes_the_fingerprint(tmp_path):
    configs = modality_configs(tmp_path)
    prints = [
        convert(prepare(tmp_path), configs, TaskConfig()).fingerprint,
        convert(prepare(tmp_path), configs, TaskConfig(labels=("c", "b", "a"))).fingerprint,
        convert(prepare(tmp_path), {"text": configs["text"]}, TaskConfig()).fingerprint,
        convert(prepare(tmp_path, 59), configs, TaskConfig()).fingerprint,
    ]
    assert len(set(prints)) == 4


def bad_table(folder: Path) -> tuple[Path, dict[int, str]]:
    """Write a table of 100 rows with one of every kind that is bad; return the reason by line."""
    rows = good_rows(write_images(folder, 6), 100)
    expected = {}
    for number, (name, (data, word)) in enumerate(sorted(bad_files().items())):
        (folder / name).write_bytes(data)
        rows[number]["file"] = name
        expected[number + 2] = word
    changes = [
        ({"file": "gone.png"}, "no such file"),
        ({"file": ""}, "is empty"),
        ({"question": " "}, "is empty"),
        ({"label": "d"}, "No label is called 'd'"),
        ({"label": ""}, "target is empty"),
        ({"weight": "-1"}, "weight"),
        ({"weight": "nan"}, "number"),
        ({"colour": "red", "question": "a\nb"}, ""),
    ]
    for number, (change, word) in enumerate(changes, start=60):
        rows[number] |= change
        if word:
            expected[number + 2] = word
    path = write_csv(folder / "t.csv", rows)
    return path, expected


def test_bad_rows_are_quarantined_with_line_and_reason(tmp_path):
    path, expected = bad_table(tmp_path)
    config = table_config(path, tmp_path / "out", {"weight": "weight"}, max_bad_share=0.6)
    index = convert(config, modality_configs(tmp_path), TaskConfig(labels=("a", "b", "c")))
    with (index.folder / "quarantine.csv").open(newline="") as stream:
        report = {int(row["origin"].split(":")[1]): row for row in csv.DictReader(stream)}
    assert sorted(report) == sorted(expected)
    for line, word in expected.items():
        assert word in report[line]["reason"], line
    assert report[62]["part"] == "image"
    assert report[65]["part"] == "target"
    assert index.quarantined == len(expected) == sum(index.reasons.values())
    assert index.rows == 100
    for split in index.splits.values():
        assert split.rows == split.samples + split.quarantined + split.left_out
    converted = sum(split.samples for split in index.splits.values())
    assert converted == 100 - len(expected)


def test_frames_and_pages_that_are_not_read_are_noted_once_with_their_rows(tmp_path, capsys):
    rows = good_rows(write_images(tmp_path, 6), 40)
    kinds = {"a.gif": "gif_animated", "b.webp": "webp_animated", "c.tif": "tiff_pages", "d.gif": "gif"}
    for number, (name, kind) in enumerate(kinds.items()):
        (tmp_path / name).write_bytes(converted_files()[kind])
        rows[number]["file"] = rows[number + 20]["file"] = name
    config = table_config(write_csv(tmp_path / "t.csv", rows), tmp_path / "out", samples_per_shard=7)
    expected = "6 rows: image: only the first frame or page is read of an animation (GIF, PNG, WebP) or a TIFF file of"
    first = convert(config, modality_configs(tmp_path), TaskConfig(), Console(width=400))
    assert [note for note in first.notes if note.startswith(expected)] == [f"{expected} several pages"]
    assert capsys.readouterr().out.count(expected) == 1


def test_too_many_bad_rows_stop_with_a_summary(tmp_path):
    path, expected = bad_table(tmp_path)
    config = table_config(path, tmp_path / "out", {"weight": "weight"})
    with pytest.raises(DataError) as caught:
        convert(config, modality_configs(tmp_path), TaskConfig(labels=("a", "b", "c")))
    message = str(caught.value)
    for word in ("data.max_bad_share accepts 1.0%", "t.csv:", "is empty", ".quarantine.csv", " x "):
        assert word in message
    report = Path(next(line for line in message.splitlines() if "All found so far" in line).split(": ")[1])
    assert 10 < len(report.read_text().splitlines()) <= len(expected) + 1
    assert not list((tmp_path / "out").glob("*/index.json"))
    more = table_config(path, tmp_path / "out", {"weight": "weight"}, max_bad_share=0.6)
    assert convert(more, modality_configs(tmp_path), TaskConfig(labels=("a", "b", "c"))).rows == 100
    assert not report.exists()


def test_a_missing_modality_is_kept_when_that_is_wanted(tmp_path):
    rows = good_rows(write_images(tmp_path, 6), 40)
    for n in range(20):
        rows[n]["file" if n % 2 else "question"] = ""
    rows[39] |= {"file": "", "question": ""}
    path = write_csv(tmp_path / "t.csv", rows)
    config = table_config(path, tmp_path / "out", {"missing": "absent"}, max_bad_share=0.1)
    index = convert(config, modality_configs(tmp_path), TaskConfig())
    records = [record for name in index.splits for record in read_samples(index, name)]
    assert sum(record.values["image"] is None for record in records) == 10
    assert sum(record.values["text"] is None for record in records) == 10
    assert index.reasons == {"row: no modality is present": 1}


def test_several_labels_and_numbers(tmp_path):
    rows = good_rows(write_images(tmp_path, 6), 40)
    for n, row in enumerate(rows):
        row |= {"label": "a;b" if n % 2 else "c", "x": str(n / 4), "y": "nan" if n == 5 else "1e3"}
    path, configs = write_csv(tmp_path / "t.csv", rows), modality_configs(tmp_path)
    several = convert(table_config(path, tmp_path / "out", {"separator": ";"}), configs, multilabel.Config())
    assert several.labels == ("a", "b", "c")
    classes = several.splits["train"].classes
    assert classes["a"] == classes["b"] == several.samples("train") - classes["c"]
    (targets,) = read_targets(several, "train")
    assert targets.shape == (several.samples("train"), 3)

    task = regression.Config(names=("x", "y"))
    config = table_config(path, tmp_path / "out", {"target": ["x", "y"]}, max_bad_share=0.1)
    numbers = convert(config, configs, task)
    assert (numbers.labels, numbers.splits["train"].classes, numbers.quarantined) == ((), {}, 1)
    (targets,) = read_targets(numbers, "train")
    np.testing.assert_array_equal(targets, np.stack([r.target for r in read_samples(numbers, "train")]))
    assert targets.shape == (numbers.samples("train"), 2)
    completed = task.completed(Facts(targets=lambda: iter([targets[:, :1].repeat(2, axis=1)])))
    specs = {name: config.spec(name) for name, config in configs.items()}
    batch = next(iter(eval_dataset(numbers, "train", specs, completed.spec(), batch_size=4)))
    np.testing.assert_array_equal(batch[1]["value"], targets[:4])


def test_duplicate_keys_are_quarantined():
    plan = make_plan([Sample("k", {}, "a", origin=f"t:{n}") for n in range(3)] + [Sample("l", {}, "a")], DataConfig())
    assert [row.origin for row in plan.bad] == ["t:1", "t:2"]
    assert "already at t:0" in plan.bad[0].reason
    assert plan.rows == 4


def test_records_number_their_groups_within_a_split():
    samples = [Sample(key, {}, "a", "test", group) for key, group in (("x", "Doe"), ("Doe", None), ("y", "Doe"))]
    rows = make_plan([*samples, Sample("z", {}, "a", "train", "Roe")], DataConfig()).shards
    numbers = {split: [sample.group_number for sample in shard] for _, split, shard in rows}
    assert numbers == {"train": [0], "test": [0, 1, 0]}


def test_the_limit_counts_what_it_leaves_out(tmp_path):
    from dataclasses import replace

    index = convert(replace(prepare(tmp_path), limit=3), modality_configs(tmp_path), TaskConfig())
    assert index.rows == 60
    assert {split.samples for split in index.splits.values()} <= {1, 2, 3}
    assert index.splits["train"].left_out == index.splits["train"].rows - 3


def test_names_options_and_damaged_folders(tmp_path):
    config, configs = prepare(tmp_path), modality_configs(tmp_path)
    with pytest.raises(ConfigError, match="weight"):
        convert(config, {"weight": configs["text"]}, TaskConfig())
    with pytest.raises(ConfigError, match="did you mean 'target'"):
        convert(prepare(tmp_path, targt="label"), configs, TaskConfig())
    with pytest.raises(ConfigError, match="easy_vqa"):
        convert(DataConfig(source=Choice("easyvqa"), folder=str(tmp_path / "out")), configs, TaskConfig())
    index = convert(config, configs, TaskConfig())
    shard = Path(index.files("train")[0])
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(DataError, match="Delete the folder"):
        convert(config, configs, TaskConfig())
    with pytest.raises(DataError, match="no samples in the split"):
        index.files("valdation")


KILLED = """
import sys
from pathlib import Path
from mmkeras.data import convert
from mmkeras.modalities import Facts
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import modality_configs, table_config
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config = table_config(folder / "t.csv", folder / "out", workers=2, samples_per_shard=50)
    convert(config, modality_configs(folder), TaskConfig())
"""


def test_a_killed_conversion_goes_on_where_it_stopped(tmp_path):
    rows = good_rows(write_images(tmp_path, 1100, (64, 64)), 1100)
    write_csv(tmp_path / "t.csv", rows)
    (tmp_path / "run.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(tmp_path)], env=environment)
    reports: list[Path] = []
    deadline = time.monotonic() + 60
    while len(reports) < 2 and process.poll() is None and time.monotonic() < deadline:
        reports = list((tmp_path / "out").glob("*.partial/*.tfrecord.json"))
        time.sleep(0.002)
    children = [int(n) for n in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(children) >= 2
    partial = reports[0].parent
    done = {p.name.removesuffix(".json"): 0 for p in partial.glob("*.tfrecord.json")}
    done = {name: (partial / name).stat().st_mtime_ns for name in done}
    assert 2 <= len(done) < 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.01)

    config = table_config(tmp_path / "t.csv", tmp_path / "out", workers=1, samples_per_shard=50)
    index = convert(config, modality_configs(tmp_path), TaskConfig())
    after = stamps(index.folder)
    assert {name: after[name] for name in done} == done
    assert not [name for name in after if name.endswith((".tmp", ".tfrecord.json"))]
    whole = convert(
        table_config(tmp_path / "t.csv", tmp_path / "whole", workers=1, samples_per_shard=50),
        modality_configs(tmp_path),
        TaskConfig(),
    )
    for split in whole.splits:
        for ours, theirs in zip(index.files(split), whole.files(split), strict=True):
            assert Path(ours).read_bytes() == Path(theirs).read_bytes()
    assert json.loads((index.folder / "index.json").read_text()) == json.loads(
        (whole.folder / "index.json").read_text()
    )


def test_a_script_without_main_guard_converts_with_workers(tmp_path):
    write_csv(tmp_path / "t.csv", good_rows(write_images(tmp_path, 3), 12))
    code = KILLED.replace('if __name__ == "__main__":', "workers.FEW_ROWS = 0\nif True:")
    code = code.replace("from mmkeras.data import convert", "from mmkeras.data import convert, workers")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-", str(tmp_path)], input=code, text=True, capture_output=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*/index.json"))) == 1


def test_what_only_pillow_reads_does_not_end_a_training(tmp_path):
    names = write_images(tmp_path, 6)
    (tmp_path / names[3]).write_bytes(without_checksum())
    path = write_csv(tmp_path / "t.csv", good_rows(names, 24))
    modalities = modality_configs(tmp_path)
    index = convert(table_config(path, tmp_path / "out"), modalities, TaskConfig())
    assert index.quarantined == 0
    specs = {name: modality.spec(name) for name, modality in modalities.items()}
    task = TaskConfig(labels=index.labels).spec()
    read = [eval_dataset(index, split, specs, task, batch_size=5) for split in index.splits]
    assert sum(len(weight) for dataset in read for _, _, weight in dataset) == 24
