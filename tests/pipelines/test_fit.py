"""From a table to a configuration, and to a verified bundle."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmkeras.bundle import Bundle
from mmkeras.core.command_line import read_toml
from mmkeras.core.errors import DataError
from mmkeras.data.sources.table import Source
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.video.spec import Config as VideoConfig
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from mmkeras.tasks._moves import check_moves
from pipelines.fit import main as fit
from pipelines.train import main as train
from tests.toys.tables import picture

HEADER = ["id", "scan", "note", "age", "ward", "seen", "came", "sick"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with pictures, notes, numbers, categories and dates written in two ways, in the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "pics").mkdir()
    words = ["cough", "fever", "pain", "since", "monday", "night", "left", "arm", "no", "better"]
    rows = []
    for row in range(80):
        colour, age = str(rng.choice(["red", "blue"])), int(rng.integers(20, 80))
        name = picture(tmp_path / "pics" / f"{row}.png", colour, row)
        sick = "yes" if colour == "red" else "no"
        ward, day = rng.choice(["A", "B", "7"]), f"2024-0{1 + row % 9}-1{row % 10}"
        note = " ".join(rng.choice(words, 7))
        rows.append(
            [row, f"pics/{name}", note, age if rng.random() > 0.1 else "", ward, day, f"1{row % 10}.03.2024", sick]
        )
    return _written(tmp_path / "samples.csv", HEADER, rows)


def _written(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def _dry(*arguments: str) -> dict[str, Any]:
    assert fit([*arguments, "--dry-run"]) == 0
    return read_toml(Path("samples.toml"))


def test_columns_become_modalities(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _dry(str(table), "--target", "sick")
    said = capsys.readouterr().out
    assert all(name in said for name in (*HEADER, "identifier", "whole numbers from", "mmkeras train samples.toml"))
    model = config["model"]
    assert {name: each["kind"] for name, each in model.items() if isinstance(each, dict) and "kind" in each} == {
        "image": "image",
        "text": "text",
        "row": "tabular",
        "row_2": "tabular",
    }
    assert (model["row"]["numbers"], model["row"]["categories"], model["row"]["dates"]) == (["age"], ["ward"], ["seen"])
    assert (model["row_2"]["dates"], model["row_2"]["date_format"]) == (["came"], "%d.%m.%Y")
    source = config["data"]["source"]["options"]
    assert source["columns"] == {"image": "scan", "text": "note"}
    assert (source["target"], source["key"], source["missing"]) == ("sick", "id", "absent")


def test_the_user_may_correct_what_was_inferred(table: Path) -> None:
    arguments = ["--ignore", "scan", "note", "came", "--kind", "age=category", "--role", "ward=group", "id=unused"]
    config = _dry(str(table), "--target", "sick", *arguments, "--quality", "best")
    assert config["model"]["row"]["categories"] == ["age"]
    assert "image" not in config["model"]
    source = config["data"]["source"]["options"]
    assert source["group"] == "ward"
    assert "key" not in source
    assert config["data"]["split_by_group"]
    assert config["model"]["row"]["layers"] == 3


def _series(folder: Path) -> Path:
    """Write a table with series as lists, of two features, as texts and as files, one of them damaged."""
    rng = np.random.default_rng(0)
    (folder / "waves").mkdir()
    lines = []
    for row in range(60):
        rises = row % 2 == 0
        price = np.linspace(0, 5 if rises else -5, 30) + rng.normal(0, 0.2, 30) + 100
        np.save(folder / "waves" / f"{row}.npy", price.astype(np.float32))
        lines.append(
            {
                "price": [None if step == row % 30 else round(each, 3) for step, each in enumerate(price.tolist())],
                "range": [[each - 1, each + 1] for each in price[:10].round(2).tolist()],
                "text": " ".join(f"{each:.2f}" for each in price[: 20 + row % 5]),
                "wave": f"waves/{row}.npy",
                "answer": "rise" if rises else "fall",
            }
        )
    (folder / "waves" / "7.npy").write_bytes(b"broken")
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_columns_of_series_become_modalities_of_their_length(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = _dry(str(_series(tmp_path)), "--target", "answer")
    model, columns = config["model"], config["data"]["source"]["options"]["columns"]
    assert columns == {name: name for name in ("price", "range", "text", "wave")}
    assert {model[name]["kind"] for name in columns} == {"series"}
    shapes = {name: (model[name]["length"], model[name].get("features", 1)) for name in columns}
    assert shapes == {"price": (30, 1), "range": (10, 2), "text": (24, 1), "wave": (30, 1)}
    assert [name for name in columns if model[name].get("files")] == ["wave"]


@pytest.mark.slow
def test_series_train_and_a_damaged_file_is_quarantined(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--ignore", "range", "text", "--name", "waves", "--train.epochs", "6", "--data.workers", "1"]
    assert fit([str(_series(tmp_path)), "--target", "answer", *arguments, "--skip_export"]) == 0
    metrics = json.loads((tmp_path / "runs" / "waves" / "latest" / "metrics.json").read_text("utf-8"))
    assert metrics["test"]["accuracy"]["value"] > 0.8
    (quarantine,) = tmp_path.glob(".cache/data/*/quarantine.csv")
    assert "7.npy: expected a .npy file with numbers" in quarantine.read_text("utf-8")


def _pairs(folder: Path) -> Path:
    """Write a table with two columns of pictures in two formats; some of the second are missing."""
    rows = []
    lossless: dict[str, Any] = {"lossless": True}
    for row in range(60):
        colours = [("red", "blue")[row % 2], ("red", "blue")[row // 2 % 2]]
        names = [f"{row}_front.webp", f"{row}_back.tif"]
        for name, colour in zip(names, colours, strict=True):
            picture(folder / f"{name}.png", colour, row)
            with Image.open(folder / f"{name}.png") as image:
                image.save(folder / name, **(lossless if name.endswith("webp") else {}))
        rows.append([names[0], names[1] if row % 10 else "", "same" if colours[0] == colours[1] else "different"])
    return _written(folder / "samples.csv", ["front", "back", "label"], rows)


def test_several_columns_of_pictures_become_modalities_that_can_be_trained_together(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = _dry(str(_pairs(tmp_path)), "--target", "label")["model"]
    configs = {}
    for name in ("front", "back"):
        options: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in model[name].items()
        }
        configs[name] = ImageConfig(**options)
    assert configs["front"].moves()
    check_moves({name: config.spec(name) for name, config in configs.items()}, configs, None, "classification")


@pytest.mark.slow
def test_a_bundle_of_two_pictures_reads_every_format_on_the_device(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--model.front.size", "[32,32]", "--model.back.size", "[32,32]", "--train.epochs", "1"]
    assert fit([str(_pairs(tmp_path)), "--target", "label", *small, *SMALL[6:]]) == 0
    folder = Path("saved_models/samples/1")
    with Bundle.open(folder) as bundle:
        assert selftest(bundle).passed
    with Predictor(folder) as predictor:
        with_both = predictor.predict(front="1_front.webp", back="1_back.tif")
        assert with_both == predictor.predict(front="1_front.webp.png", back="1_back.tif.png")
        assert predictor.predict(front="1_front.webp")["label"] in ("same", "different")


def test_several_pictures_in_a_cell_are_frames_of_one_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = []
    for row in range(40):
        names = [f"{row}_{view}.png" for view in range(1 + row % 3)]
        for view, name in enumerate(names):
            picture(tmp_path / name, ("red", "blue")[row % 2], view)
        rows.append([";".join(names), ("red", "blue")[row % 2]])
    config = _dry(str(_written(tmp_path / "samples.csv", ["views", "label"], rows)), "--target", "label")
    assert (config["model"]["video"]["kind"], config["model"]["video"]["frames"]) == ("video", 3)
    source = Source(**config["data"]["source"]["options"]).derived({"video": VideoConfig(frames=3).spec("video")})
    third = list(source.samples())[2]
    assert [Path(path).name for path in third.values["video"]] == ["2_0.png", "2_1.png", "2_2.png"]
    before = source.fingerprint_inputs()
    picture(tmp_path / "2_1.png", "green", 7)
    assert source.fingerprint_inputs() != before
    (tmp_path / "2_1.png").unlink()
    with pytest.raises(DataError, match=r"2_1\.png"):
        VideoConfig(frames=3).spec("video").preprocess(list(source.samples())[2].values["video"])


def test_a_configuration_that_was_changed_is_kept(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _dry(str(table), "--target", "sick")
    own = Path("samples.toml").read_text("utf-8") + "# mine\n"
    Path("samples.toml").write_text(own, "utf-8")
    _dry(str(table), "--target", "sick")
    assert "was different; it is kept as samples.toml.before-1" in " ".join(capsys.readouterr().out.split())
    assert Path("samples.toml.before-1").read_text("utf-8") == own
    Path("samples.toml").write_text("# another\n", "utf-8")
    _dry(str(table), "--target", "sick")
    assert Path("samples.toml.before-1").read_text("utf-8") == own
    assert Path("samples.toml.before-2").read_text("utf-8") == "# another\n"


def test_several_numbers_may_be_predicted_together_and_other_targets_not(table: Path) -> None:
    rows = [[row * 1.5, 7 - row * 0.25, "ab"[row % 2], (row * 7) % 13] for row in range(40)]
    _written(table, ["x", "y", "class", "size"], rows)
    config = _dry(str(table), "--target", "x", "y")
    assert config["model"]["task"]["name"] == "regression"
    assert config["data"]["source"]["options"]["target"] == ["x", "y"]
    assert fit([str(table), "--target", "x", "class", "--dry-run"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv", "--target", "sick"], "no such file"),
        (["samples.csv"], "--target: name the column to predict"),
        (["samples.csv", "--target", "sikc"], "no column 'sikc' to predict; did you mean 'sick'"),
        (["samples.csv", "--target", "note"], "80 different texts"),
        (["samples.csv", "--target", "sick", "--kind", "age=nubmer"], "did you mean 'number'"),
        (["samples.csv", "--target", "sick", "--role", "aeg=key"], "no column 'aeg'"),
        (["samples.csv", "--target", "sick", "--role", "age=inptu"], "did you mean 'input'"),
        (["samples.csv", "--target", "sick", "--role", "sick=input"], "this column is the target"),
        (
            ["samples.csv", "--target", "sick", "--ignore", *HEADER[:-1]],
            "no column is left to learn from. Name one: --role COLUMN=input",
        ),
        (
            ["elsewhere/samples.csv", "--target", "sick"],
            "0 of the 27 files looked at exist. Paths start from",
        ),
        (["pics"], "in one folder for each class"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("elsewhere").mkdir()
    shutil.copy(table, "elsewhere")
    assert fit([*arguments, "--dry-run"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("samples.toml").exists()


def test_a_folder_of_class_folders_is_a_table(table: Path) -> None:
    for place in ("train/cat", "train/dog", "val/cat", "val/dog"):
        folder = Path("animals", place)
        folder.mkdir(parents=True)
        for row in range(6):
            picture(folder / f"{row}.png", "red", row)
    assert fit(["animals", "--dry-run"]) == 0
    source = read_toml(Path("animals.toml"))["data"]["source"]["options"]
    assert (source["columns"], source["target"], source["split"]) == ({"image": "image"}, "label", "split")
    with Path("animals.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert rows[0]["image"] == "animals/train/cat/0.png"


SMALL = ["--train.epochs", "1", "--train.deterministic", "true", "--model.image.size", "[32,32]"]
SMALL += ["--export.formats", '["tflite"]', "--export.precisions", '["float32"]', "--evaluate.pictures", "2"]


@pytest.mark.slow
def test_a_table_becomes_a_bundle_that_proves_itself(table: Path) -> None:
    assert fit([str(table), "--target", "sick", *SMALL]) == 0
    folder = Path("saved_models/samples/1")
    with Bundle.open(folder) as bundle:
        assert selftest(bundle).passed
    values: dict[str, Any] = {"image": "pics/3.png", "text": "cough since monday", "row": {"age": 40, "ward": "A"}}
    with Predictor(folder) as predictor:
        assert predictor.predict(**values)["label"] in ("yes", "no")


@pytest.mark.slow
def test_the_configuration_gives_the_same_result_again(table: Path) -> None:
    assert fit([str(table), "--target", "sick", *SMALL]) == 0
    assert train(["samples.toml", *SMALL]) == 0
    first, second = (
        json.loads(Path(f"saved_models/samples/{version}/export.json").read_text("utf-8")) for version in (1, 2)
    )
    assert first["reference"] == second["reference"]


def test_train_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["vaq"]) == 2
    assert "did you mean 'vqa'" in capsys.readouterr().err
    assert train(["--help"]) == 0
    assert (
        "camera_radar, documents, finance, matching, medical, segmentation, table, traffic_signs, video_text, vqa"
        in capsys.readouterr().out
    )
