"""``--record``: a pipeline's numbers come from its own run, or from the folder of a finished one."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import ConfigError
from mmkeras.storage.files import write_json
from mmkeras.training import environment
from pipelines import camera_radar, finance, vqa
from pipelines._stages import results as _results
from pipelines._stages.contract import Story
from pipelines._stages.results import Figure, describe_machine, read_results
from pipelines._stages.story import run_story
from tests.pipelines.conftest import Place

MACHINE = {"system": "Linux", "architecture": "x86_64", "cpu": "a processor", "cores": 2}
RUN = {
    "code_revision": "ab" * 20,
    "machine": MACHINE,
    "created": "2026-11-29T12:00:00+00:00",
    "command": "python -m pipelines.vqa --train.epochs 9",
}
METRICS = {"test": {"accuracy": {"value": 0.99969, "low": 0.9993, "high": 1.0, "method": "bootstrap"}}}


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch) -> Path:
    """The file that is written here in place of the checkout's."""
    file = tmp_path / "docs" / "results.json"
    monkeypatch.setattr(_results, "RESULTS", file)
    return file


def _finished(folder: Path, config: str = "", metrics: Mapping[str, Any] | None = METRICS) -> Path:
    folder.mkdir()
    (folder / "config.toml").write_text(config)
    write_json(folder / "run.json", RUN)
    if metrics is not None:
        write_json(folder / "metrics.json", metrics)
    return folder


def test_a_finished_run_is_recorded_with_its_own_origin(tmp_path: Path, recorded: Path, capsys):
    assert vqa.main(["--record", str(_finished(tmp_path / "run"))]) == 0
    result = read_results(recorded)["vqa.accuracy"]
    assert (result.value, result.low, result.high) == pytest.approx((99.969, 99.93, 100))
    assert result.command == RUN["command"]
    assert (result.commit, result.date) == (RUN["code_revision"], RUN["created"])
    assert result.machine == describe_machine(MACHINE)
    assert "recorded vqa.accuracy: 99.969" in capsys.readouterr().out


def test_a_number_without_bar_and_goal_is_recorded_too(tmp_path: Path, recorded: Path, capsys):
    mcc = {"mcc": {"value": 0.05, "low": -0.01, "high": 0.11, "method": "bootstrap"}}
    gain = {"fusion_gain": {"value": -0.01, "low": -0.03, "high": 0.02}}
    shipped = (Path(finance.__file__).parent / "configs" / "finance.toml").read_text("utf-8")
    run = _finished(tmp_path / "run", shipped, {"finance": {"all": mcc}, "alone": gain})
    assert finance.main(["--record", str(run)]) == 0
    assert read_results(recorded)["finance.fusion_gain"].bar is None
    said = capsys.readouterr().out
    assert "recorded finance.mcc: 0.05 (bar 0, goal 0.08)" in said
    assert "recorded finance.fusion_gain: -1\n" in said


def _bundle(folder: Path, created: str, *files: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", {"provenance": {"created": created}})
    write_json(folder / "export.json", {"files": files})


def _file(size: int, accepted: bool = True) -> dict[str, Any]:
    judged = {"accepted": accepted, "metric_change": -0.001, "flips": 3}
    scenarios = {"all": {"samples": 500}, "without_text": {"samples": 400}}
    return {"format": "tflite", "precision": "int8", "bytes": size, "scenarios": scenarios, "sha256": "", **judged}


def test_the_minutes_and_the_files_of_its_newest_bundle_are_recorded(tmp_path: Path, recorded: Path):
    config = f'name = "vqa"\n[export]\nfolder = "{tmp_path / "saved_models"}"'
    run = _finished(tmp_path / "run", config, METRICS | {"minutes": 6.5})
    saved = tmp_path / "saved_models" / "vqa"
    _bundle(saved / "2", str(RUN["created"]), _file(500_000))
    _bundle(saved / "10", str(RUN["created"]), _file(394_100), _file(900_000, accepted=False))
    _bundle(saved / "11", "2026-11-30T12:00:00+00:00", _file(700_000))
    assert vqa.main(["--record", str(run)]) == 0
    result = read_results(recorded)["vqa.minutes"]
    assert (result.value, result.commit) == (6.5, RUN["code_revision"])
    assert [(file.bytes, file.accepted, file.flips, file.answers) for file in result.files] == [
        (394_100, True, 3, 900),
        (900_000, False, 3, 900),
    ]


def test_the_minutes_of_a_resumed_run_are_not_recorded(tmp_path: Path, recorded: Path, capsys):
    config = f'name = "vqa"\n[export]\nfolder = "{tmp_path / "saved_models"}"'
    run = _finished(tmp_path / "run", config)
    _bundle(tmp_path / "saved_models" / "vqa" / "1", str(RUN["created"]), _file(500_000))
    assert vqa.main(["--record", str(run)]) == 0
    assert "vqa.minutes is not recorded: the run was resumed" in " ".join(capsys.readouterr().out.split())
    assert list(read_results(recorded)) == ["vqa.accuracy"]


def test_a_damaged_export_is_named(tmp_path: Path, capsys):
    config = f'name = "vqa"\n[export]\nfolder = "{tmp_path / "saved_models"}"'
    run = _finished(tmp_path / "run", config, METRICS | {"minutes": 6.5})
    damaged = _file(500_000)
    del damaged["flips"]
    _bundle(tmp_path / "saved_models" / "vqa" / "1", str(RUN["created"]), damaged)
    assert vqa.main(["--record", str(run)]) == 2
    assert "export.json: expected the key 'flips' of each file" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("config", "metrics", "more", "message"),
    [
        ('[data.source]\nname = "table"', METRICS, (), "expected data.source.name easy_vqa"),
        ("[data]\nlimit = 100", METRICS, (), "easy_vqa with 100"),
        ("[evaluate]\nconfidence = 0.9", METRICS, (), "expected evaluate.confidence 0.95, got 0.9"),
        ("", None, (), "metrics.json is missing. Name the folder of a run whose evaluation is done"),
        ("", METRICS, ("--train.epochs", "3"), "it cannot be combined with --train.epochs"),
    ],
)
def test_a_run_that_did_not_measure_the_number_is_refused(
    tmp_path: Path, recorded: Path, capsys, config, metrics, more, message
):
    assert vqa.main(["--record", str(_finished(tmp_path / "run", config, metrics)), *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not recorded.exists()


def test_a_pipeline_without_numbers_refuses_before_it_trains(capsys):
    path = Path(vqa.__file__)
    assert run_story(vqa.VqaConfig, ["--record"], program=path, description="") == 2
    assert "has no number in docs/results.json" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def float32_after() -> Iterator[None]:
    """Take back the precision of the run, which would last until the process ends."""
    yield
    environment.prepare(TrainConfig())


@pytest.mark.usefixtures("float32_after")
def test_a_run_records_when_it_is_evaluated(place: Place, tmp_path: Path, recorded: Path):
    class Recorded(Story[vqa.VqaConfig]):
        def check_numbers(self, config: vqa.VqaConfig) -> None:
            assert config.data.source.name == "table"

        def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
            return {"vqa.accuracy": Figure(100 * metrics["test"]["accuracy"]["value"])}

    folder = tmp_path / "runs" / "undisturbed" / "again"
    shutil.copytree(place.run("undisturbed"), folder)
    arguments = ["--resume", str(folder), "--record", "--skip_export"]
    program = Path(vqa.__file__)
    assert run_story(vqa.VqaConfig, arguments, program=program, description="", story=Recorded()) == 0
    result = read_results(recorded)["vqa.accuracy"]
    assert 0 <= result.value <= 100
    assert result.command.startswith("python -m pipelines.vqa --skip_export --config"), "that of the run, not --resume"


@pytest.mark.parametrize("source", ["daquar", "vqa_rad"])
def test_questions_on_real_photos_are_recorded_with_the_gain_of_the_fusion(source: str):
    story, config = vqa.VqaStory(), vqa.VqaConfig()
    given = dataclasses.replace(config, data=dataclasses.replace(config.data, source=Choice(source, {"folder": "a"})))
    story.check_numbers(given)
    gain = {"value": 0.02, "low": 0.01, "high": 0.03}
    metrics = {**METRICS, "provenance": story.provenance(given), "alone": {"fusion_gain": gain}}
    accuracy = {"daquar": "daquar.accuracy", "vqa_rad": "vqa_rad.closed"}[source]
    assert story.numbers(metrics) == {
        accuracy: pytest.approx((99.969, 99.93, 100)),
        f"{source}.fusion_gain": pytest.approx((2, 1, 3)),
    }
    assert story.named(given) == source
    with pytest.raises(ConfigError, match="expected each modality alone"):
        story.numbers({**metrics, "alone": {}})


def test_open_questions_of_vqa_rad_are_not_recorded_as_closed():
    config = vqa.VqaConfig()
    source = Choice("vqa_rad", {"folder": "a", "answers": "all"})
    with pytest.raises(ConfigError, match=r"vqa_rad\.closed is measured with answers = closed, got all"):
        vqa.VqaStory().check_numbers(dataclasses.replace(config, data=dataclasses.replace(config.data, source=source)))


# === Camera and radar ===


def test_the_numbers_of_the_comparison_are_points_of_map():
    gain = {"value": 0.162, "low": 0.14, "high": 0.18, "per_seed": {}}
    dead = {"value": -0.015, "low": -0.03, "high": 0.01, "per_seed": {}}
    numbers = camera_radar.CameraRadarStory().numbers({"gains": {"fusion_gain": gain, "radar_dead": dead}})
    assert numbers.keys() == {"camera_radar.fusion_gain", "camera_radar.radar_dead"}
    assert numbers["camera_radar.fusion_gain"] == pytest.approx((16.2, 14, 18))
    assert numbers["camera_radar.radar_dead"] == pytest.approx((-1.5, -3, 1))
    with pytest.raises(ConfigError, match=r"expected \['radar_dead'\] in gains of metrics\.json"):
        camera_radar.CameraRadarStory().numbers({"gains": {"fusion_gain": gain}})


def test_the_comparison_needs_simulated_drives_its_variants_and_three_seeds():
    story, config = camera_radar.CameraRadarStory(), camera_radar.CameraRadarConfig()
    three = dataclasses.replace(config, compare=camera_radar.CompareConfig(seeds=(0, 1, 2)))
    story.check_numbers(three)
    for wrong in (
        config,
        dataclasses.replace(three, compare=camera_radar.CompareConfig(("cross_attention",), (0, 1, 2))),
        dataclasses.replace(three, data=dataclasses.replace(three.data, limit=5)),
    ):
        with pytest.raises(ConfigError, match=r"--record: expected simulated drives"):
            story.check_numbers(wrong)
