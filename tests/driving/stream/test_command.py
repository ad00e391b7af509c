from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.runtime.cli import main
from mmkeras.runtime.packing import pack_bundle
from tests.driving.stream.conftest import RADAR

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "stream.schema.json").read_text())
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], detector_bundle: Path, simulated: Path, tmp_path: Path) -> Run:
    def call(*arguments: object, out: object = tmp_path / "out") -> tuple[int, str, str]:
        command = ["stream", detector_bundle, simulated, "--out", out, *arguments]
        status = main([str(part) for part in command])
        printed, errors = capfd.readouterr()
        assert "Traceback" not in errors
        return status, printed, errors

    return call


def test_a_replay_with_faults_writes_everything(run: Run, tmp_path: Path):
    script = tmp_path / "faults.txt"
    script.write_text("kill radar at 0.8 s # all three\nrevive radar at 1.2 s\n")
    status, out, err = run("--rate", 0, "--faults", script, "--fault", "corrupt camera at 1.5 s")
    assert status == 0, err
    assert "Next: " in out
    folder = tmp_path / "out"
    report = json.loads((folder / "stream.json").read_text())
    jsonschema.validate(report, SCHEMA)
    assert report["answered"] == report["frames"] == report["frames_received"] + report["ticks"]
    assert report["kinds"]["camera only"] >= 1
    assert report["reasons"] == {"image": 1}
    killed, revived, corrupted = (fault["messages"] for fault in report["faults"])
    assert killed > 10
    assert (revived, corrupted) == (0, 1)
    for channel in report["drive"]["radars"]:
        assert any(0.8 < begin < 1.2 for begin, _ in report["sensors"][channel]["absent"])
    assert set(report["latency_ms"]) == {"wait", "preprocess", "inference", "decode", "total"}
    assert set(report["outputs"]) == {path.name for path in folder.iterdir()}
    lines = [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]
    assert len(lines) == report["frames"]
    assert any(line["detections"] for line in lines)
    assert len(list((folder / "frames").iterdir())) == report["frames"]
    assert not list(tmp_path.glob(".out*"))
    with Image.open(folder / "timeline.png") as picture:
        assert picture.width == 1100


def test_json_without_pictures(run: Run, tmp_path: Path):
    status, out, err = run("--as-fast-as-possible", "--no-pictures", "--limit", 1, "--json")
    assert status == 0, err
    report = json.loads(out)
    jsonschema.validate(report, SCHEMA)
    assert report["outputs"] == ["detections.jsonl", "timeline.png", "stream.json"]
    assert report["drive"]["seconds"] <= 1.05
    # An earlier output may be replaced, anything else may not.
    assert run("--rate", 0, "--no-pictures", "--limit", 1)[0] == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    status, _, err = run("--rate", 0, out=tmp_path / "mine")
    assert status == 2
    assert "not an output of mmkeras stream" in err
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_pictures_and_names_that_the_run_hides(
    detector_bundle: Path, simulated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    bundle = shutil.copytree(detector_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["provenance"]["config"] = {"privacy": {"redact": "all"}}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "out"
    assert main(["stream", str(bundle), str(simulated), "--out", str(out), "--rate", "0", "--limit", "1"]) == 0
    printed, errors = capfd.readouterr()
    assert {path.name for path in out.iterdir()} == {"detections.jsonl", "timeline.png", "stream.json"}
    (scene,) = json.loads(next(simulated.glob("v1.0-*/scene.json")).read_text())
    written = printed + errors + "".join(path.read_text() for path in out.glob("*.json*"))
    assert scene["name"] not in written
    assert "privacy.redact of the bundle's run hides pictures" in printed


def test_as_many_sweeps_as_in_training_unless_told_otherwise(run: Run):
    for told, expected in (((), RADAR.sweeps), (("--sweeps", 2), 2)):
        status, out, err = run("--rate", 0, "--no-pictures", "--limit", 1, "--json", *told)
        assert status == 0, err
        assert json.loads(out)["settings"]["sweeps"] == expected
    assert run("--rate", 0, "--sweeps", 0)[0] == 2


def test_in_real_time_at_ten_times_the_rate(run: Run, tmp_path: Path):
    status, _, err = run("--rate", 10, "--no-pictures", "--json", "--queue", 1)
    assert status == 0, err
    report = json.loads((tmp_path / "out" / "stream.json").read_text())
    assert report["frames_received"] == report["drive"]["frames"]
    assert report["rate"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fault", "kil radar at 3 s"), "did you mean 'kill'"),
        (("--fault", "kill radar"), "expected 'at', got the end of the line"),
        (("--rate", -1), "--rate and --limit: expected 0 or more, got -1"),
        (("--queue", 0), "stream queue: expected more than 0, got 0"),
        (("--faults", "gone.txt"), "gone.txt: cannot be read as a script of faults"),
        (("--scen", "x"), "did you mean '--scene'"),
    ],
)
def test_a_wrong_command_line_is_answered(run: Run, tmp_path: Path, arguments: tuple[object, ...], message: str):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_detects_nothing(exported: Path, simulated: Path, tmp_path: Path, capfd):
    assert main(["stream", str(exported), str(simulated), "--out", str(tmp_path / "out")]) == 2
    assert "answers classification; a stream needs a detection bundle" in capfd.readouterr().err


def test_help(capfd, detector_bundle: Path):
    assert main(["stream", str(detector_bundle), "--help"]) == 0
    out = capfd.readouterr().out
    assert "--max-skew MS" in out
    assert "(default: 150)" in out


def test_a_packed_bundle_finds_the_command_by_its_name(detector_bundle: Path, tmp_path: Path):
    with Bundle.open(detector_bundle) as bundle:
        mmk = pack_bundle(bundle, tmp_path / "tiny-1.mmk")
    done = subprocess.run([sys.executable, "-I", str(mmk), "stream", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--max-skew MS" in done.stdout


@pytest.mark.parametrize("mp4", [True, False])
def test_videos_can_be_played(tmp_path: Path, mp4: bool, monkeypatch):
    from mmkeras.driving.stream import drawing

    if mp4:
        pytest.importorskip("av")
    monkeypatch.setattr(drawing, "has_mp4", lambda: mp4)
    pictures = [np.full((51, 101, 3), level, np.uint8) for level in (0, 80, 160, 240)]
    path = drawing.write_video(tmp_path / "video", iter(pictures), 10.0)
    if mp4:
        import av

        with av.open(str(path)) as container:
            levels = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == 10
    else:
        with Image.open(path) as image:
            assert image.format == "WEBP"
            levels = []
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                levels.append(np.asarray(image.convert("RGB")).mean())
    assert levels == pytest.approx([0, 80, 160, 240], abs=6)
