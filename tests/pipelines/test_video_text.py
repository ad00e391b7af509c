"""The pipeline of clips and texts: simulated statements, fights by source video, and a table of one's own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

import mmkeras
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.data.read import iterate_samples
from mmkeras.evaluation.samples import read
from mmkeras.training.run import Run
from pipelines import video_text
from pipelines._stages.alone_config import AloneConfig, CrossValidationConfig
from pipelines._stages.cluster import with_cluster
from pipelines._stages.contract import Evaluated
from pipelines._stages.folds import cross_validate, first_fold
from pipelines.video_text import VideoTextConfig, VideoTextStory
from tests.media.clips.films import numbered, write_film
from tests.toys.tables import moving

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))
TINY = """
name = "tiny"
runs = "{folder}/runs"
[data]
folder = "{folder}/data"
workers = 1
[model]
width = 16
[model.video]
frames = 4
size = [32, 48]
weights = "none"
width_factor = 0.25
depth_factor = 0.3
frozen_stages = 0
heads = 2
top = false
level = 3
cells = [1, 2]
[model.text]
max_length = 12
layers = 1
heads = 2
hidden = 16
intermediate = 32
preset = ""
frozen = false
[train]
epochs = 1
batch_size = 8
[evaluate]
bootstrap = 20
pictures = 2
[simulate]
train = 18
validation = 6
test = 18
frames = 4
width = 48
height = 32
workers = 1
"""


def _run(folder: Path, more: str = "", *arguments: str) -> tuple[int, Path]:
    own = folder / "own.toml"
    own.write_text(TINY.format(folder=folder) + more, encoding="utf-8")
    status = video_text.main(["--config", str(own), "--skip_export", *arguments])
    return status, folder / "runs"


def test_simulated_statements_from_clips_to_the_report(tmp_path: Path):
    status, runs = _run(tmp_path)
    assert status == 0
    run = (runs / "tiny" / "latest").resolve()
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert metrics["samples"] == 36
    assert set(metrics["slices"]) == {"happens", "false_in", "light"}
    report = (run / "report.html").read_text("utf-8")
    assert "Simulated clips" in report
    assert [path.name[:6] for path in (tmp_path / "data").glob("clips-*") if path.is_dir()] == ["clips-"]


TABLE = """
[data.source]
name = "table"
[data.source.options]
path = "{table}"
columns = {{ video = "clip", text = "transcript" }}
target = "sentiment"
group = "speaker"
missing = "absent"
[data]
max_bad_share = 0.1
split_by_group = true
train_share = 0.6
validation_share = 0.2
"""


@pytest.mark.slow
def test_a_table_of_clips_and_transcripts_of_ones_own(tmp_path: Path):
    """Files, folders, lists of pictures, a clip that is missing, and one that cannot be read."""
    pytest.importorskip("av")
    lines = []
    for row in range(40):
        sad = row % 3 == 0
        frames = moving(sad, row)
        clip: str | list[str] | None = f"{row}.mp4"
        if row % 4 == 1:
            clip = f"folder{row}"
        elif row % 4 == 2:
            clip = [f"folder{row}/{number}.png" for number in range(len(frames))]
        if row % 4 in (1, 2):
            (tmp_path / f"folder{row}").mkdir()
            for number, pixels in enumerate(frames):
                Image.fromarray(pixels).save(tmp_path / f"folder{row}" / f"{number}.png")
        elif row == 8:
            clip = None
        else:
            write_film(tmp_path / f"{row}.mp4", frames)
        if row == 20:
            (tmp_path / "20.mp4").write_bytes(b"no video")
        said = "this was a bad day" if sad else "I like it"
        sentiment = "negative" if sad else "positive"
        lines.append({"clip": clip, "transcript": said, "sentiment": sentiment, "speaker": f"s{row % 10}"})
    table = tmp_path / "clips.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    own = tmp_path / "own.toml"
    text = TINY.format(folder=tmp_path).replace("[data]\n", "")
    text = text.replace(f'folder = "{tmp_path}/data"\nworkers = 1\n', "")
    own.write_text(text + TABLE.format(table=table).replace("[data]\n", f'[data]\nfolder = "{tmp_path}/data"\n'))
    assert video_text.main(["--config", str(own), "--skip_export"]) == 0
    (quarantine,) = tmp_path.glob("data/*/quarantine.csv")
    assert "20.mp4: cannot be opened as a video" in quarantine.read_text("utf-8")
    report = (tmp_path / "runs" / "tiny" / "latest" / "report.html").read_text("utf-8")
    assert "Simulated clips" not in report


@pytest.mark.slow
def test_every_clip_of_the_fights_is_answered_by_a_model_of_the_other_fold(tmp_path: Path):
    pytest.importorskip("av")
    folder = tmp_path / "fights"
    (folder / "clips").mkdir(parents=True)
    lines = ["file,label,source_video"]
    for row in range(30):
        write_film(folder / "clips" / f"{row}.mp4", numbered(4) if row % 2 else [np.zeros((48, 64, 3), np.uint8)] * 4)
        lines.append(f"{row}.mp4,{('nofight', 'fight')[row % 2]},v{row % 10}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    options = f'[data.source]\nname = "fight_video"\n[data.source.options]\nfolder = "{folder}"\n'
    folds = ("--cross_validation.folds", "2")
    status, runs = _run(tmp_path, options, "--model.without", '["text"]', "--model.fusion.options", "{}", *folds)
    assert status == 0
    run = (runs / "tiny" / "latest").resolve()
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    found = metrics["folds"]
    assert (metrics["samples"], found["samples"]) == (15, 30)
    assert found["each"][0]["value"] == pytest.approx(metrics["test"]["accuracy"]["value"])
    assert found["score"]["value"] == pytest.approx(np.mean([each["value"] for each in found["each"]]))
    assert "<h2>Folds</h2>" in (run / "report.html").read_text("utf-8")
    keys = [
        {record.key for record in iterate_samples(Run.open(place).index, "test")} for place in (run, run / "folds/1")
    ]
    assert not keys[0] & keys[1]

    changed = (run / "folds/1/best.keras").stat().st_mtime_ns
    (run / "folds/1/evidence.npz").unlink()  # as if it was interrupted before the answers
    opened = Run.open(run)
    config = with_cluster(VideoTextConfig, run, ())
    samples = read(opened.index, "test", opened.specs, opened.task)
    done = Evaluated(opened, config, opened.model(), samples, Console(quiet=True), "video_text")
    assert cross_validate(done) == found
    assert (run / "folds/1/best.keras").stat().st_mtime_ns == changed, "a finished training was repeated"


def _config(**alone: object) -> VideoTextConfig:
    source = Choice("statements", {})
    return VideoTextConfig(data=dataclasses.replace(DataConfig(), source=source), alone=AloneConfig(**alone))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "folds", "said"),
    [
        (Choice("statements", {}), 5, "the source 'statements' has no options fold and folds"),
        (Choice("fight_video", {"folder": "x"}), 1, "expected 2 or more"),
        (Choice("fight_video", {"folder": "x", "fold": 2}), 5, "got 5 and fold 2"),
        (Choice("fight_video", {"folder": "x", "folds": 4}), 5, "got 5 and folds 4"),
    ],
)
def test_folds_that_a_source_cannot_make_are_refused(source: Choice, folds: int, said: str):
    config = _config()
    data = dataclasses.replace(config.data, source=source)
    asked = dataclasses.replace(config, data=data, cross_validation=CrossValidationConfig(folds))
    with pytest.raises(ConfigError, match=said):
        first_fold(asked)
    without = dataclasses.replace(asked, cross_validation=CrossValidationConfig())
    assert first_fold(without) == without


def test_one_frame_is_compared_with_the_same_inputs():
    assert _config().compared_alone == ("video", "text", "one_frame")
    assert _config(modalities=("text", "one_frame")).compared_alone == ("text", "one_frame")
    assert _config(modalities=()).compared_alone == ()
    still = _config().variant("one_frame_alone")
    assert isinstance(still, video_text.VideoTextModel)
    assert still.video.still
    assert not still.without
    assert _config().variant("text_alone").without == ("video",)
    with pytest.raises(ConfigError, match="no modality 'txt'"):
        _ = _config(modalities=("txt", "one_frame")).compared_alone


def test_only_the_whole_of_the_simulated_clips_is_recorded(tmp_path: Path):
    story = VideoTextStory()
    story.check_numbers(_config())
    other = Choice("table", {"path": "x.csv"})
    limited = dataclasses.replace(_config(), data=dataclasses.replace(_config().data, limit=10))
    with pytest.raises(ConfigError, match="expected the simulated clips"):
        story.check_numbers(limited)
    elsewhere = dataclasses.replace(_config(), data=dataclasses.replace(_config().data, source=other))
    with pytest.raises(ConfigError):
        story.check_numbers(elsewhere)
    score = {"value": 0.9, "low": 0.8, "high": 0.95}
    assert list(story.numbers({"test": {"accuracy": score}})) == ["video_text.statements"]
    folds = {"score": {"value": 0.7, "low": 0.6, "high": 0.8}}
    fights = {"test": {"accuracy": score}, "folds": folds, "provenance": {"source": "fight_video"}}
    assert {name: found.value for name, found in story.numbers(fights).items()} == {"video_text.fight": 70.0}
    gains = {"modalities": {"text": {"gain": score}, "one_frame": {"gain": score}, "video": {"gain": score}}}
    found = story.numbers({"test": {"accuracy": score}, "alone": gains})
    assert list(found) == ["video_text.statements", "video_text.fusion_gain", "video_text.motion_gain"]
    assert story.provenance(_config())["notice"].startswith("Simulated clips")
    assert story.provenance(elsewhere) == {"source": "table"}
