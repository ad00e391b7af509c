"""A pipeline on several workers, as real processes: equal to one, through the death of one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mmkeras
from mmkeras.training.cluster.launch import PEER_LOST
from tests.cluster import __main__ as measured
from tests.cluster.trained import largest_difference, start_workers, train
from tests.conftest import REPOSITORY
from tests.pipelines.conftest import Place
from tests.pipelines.test_camera_radar import TINY

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "cluster.schema.json").read_text())


def _scalars(folder: Path) -> set[str]:
    return set(EventAccumulator(str(folder), {"tensors": 0, "images": 0}).Reload().Tags()["tensors"])


def _ended(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    return [process.wait(timeout=300) for process in processes]


def _text(log: Path) -> str:
    return " ".join(log.read_text("utf-8", errors="replace").split())


def test_a_worker_is_killed_the_other_stops_and_the_restarted_job_ends_like_one_process(place: Place):
    (chief, other), logs = place.start(
        "killed", "--train.deterministic", "false", "--train.checkpoint_minutes", "0.001", workers=2
    )
    other.kill()
    died = time.monotonic()
    assert chief.wait(timeout=60) == PEER_LOST
    other.wait()
    assert time.monotonic() - died < 60
    assert "Worker 1 (127.0.0.1:" in _text(logs[0])
    assert "worker 0 stops" in _text(logs[0])
    assert "Traceback" not in _text(logs[0])

    run = place.run("killed")
    # Here the workers are started by the launcher; where a run is trained is no part of what is resumed.
    command = [sys.executable, "-m", "pipelines.vqa", "--skip_export", "--resume", str(run), "--cluster.workers", "2"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "batch 8 = 2 x 4" in done.stdout
    assert largest_difference(place.run("undisturbed"), run).relative < 1e-9
    ours, theirs = (json.loads((each / "metrics.json").read_text()) for each in (run, place.run("undisturbed")))
    assert ours["test"]["accuracy"]["value"] == theirs["test"]["accuracy"]["value"]

    # One account of the run, by the chief; of the other worker its log and how long it waited for input.
    assert {"step/loss", "epoch/loss", "speed/input_wait_share"} <= _scalars(run / "train")
    assert _scalars(run / "workers" / "1") == {"speed/input_wait_share"}
    assert {path.name for path in (run / "workers").rglob("log.txt")} == {"log.txt"}
    for rank in range(2):
        kept = _text(run / "workers" / str(rank) / "log.txt")
        assert "epoch 2/2" in kept
    assert len(list((run / "train").glob("events*"))) == 2  # of both starts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two", ("--cluster.workers", "2")),
        ("four", ("--cluster.workers", "4")),
        ("mirrored", ("--cluster.devices", "2")),
    ],
)
def test_any_number_of_replicas_ends_with_the_same_weights(place: Place, name, options):
    train(place.arguments(name, *options), place.folder / f"{name}.log")
    assert largest_difference(place.run("undisturbed"), place.run(name)).relative < 1e-9
    states = [
        json.loads(next((place.run(each) / "checkpoints").glob("*/state.json")).read_text())
        for each in ("undisturbed", name)
    ]
    for ours, theirs in zip(states[0]["history"], states[1]["history"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["disk", "none"])
def test_every_cache_gives_workers_the_batches_of_one(place: Place, cache):
    for name, options in ((f"{cache}-1", ()), (f"{cache}-2", ("--cluster.workers", "2"))):
        train(place.arguments(name, "--data.cache", cache, *options), place.folder / f"{name}.log")
    assert largest_difference(place.run(f"{cache}-1"), place.run(f"{cache}-2")).relative < 1e-9


@pytest.mark.slow
def test_detection_counts_objects_and_scores_boxes_over_all_workers(tmp_path):
    """Its losses divide by the objects of a batch, and its metric needs every answer in one place."""
    config = tmp_path / "drive.toml"
    text = TINY.format(folder=tmp_path).replace('["cross_attention", "radar_as_channels"]', "[]")
    config.write_text(
        text.replace("epochs = 1", "epochs = 2\nsteps_per_epoch = 4\nprecision = 'float64'\nepsilon = 1e-3")
    )
    states = []
    for name, options in (("one", ()), ("two", ("--cluster.workers", "2"))):
        arguments = ["pipelines.camera_radar", "--config", str(config), "--skip_export", "--name", name, *options]
        train(arguments, tmp_path / f"{name}.log")
        (state,) = (tmp_path / "runs" / name / "latest" / "checkpoints").glob("*/state.json")
        states.append(json.loads(state.read_text())["history"])
    assert "val_mAP" in states[0][0]
    for ours, theirs in zip(*states, strict=True):
        assert ours.keys() == theirs.keys()
        # Which of two near boxes is taken hangs on rounding in a model that has learnt nothing; losses do not.
        losses = [name for name in ours if "loss" in name]
        assert {name: ours[name] for name in losses} == pytest.approx({name: theirs[name] for name in losses}, rel=1e-4)
    runs = tmp_path / "runs"
    assert largest_difference(runs / "one" / "latest", runs / "two" / "latest").relative < 1e-9
    assert not list((runs / "two").rglob("evidence.npz"))


@pytest.mark.slow
def test_one_worker_is_told_to_stop_all_save_and_the_rest_is_bit_for_bit_the_same(place: Place):
    train(place.arguments("whole", "--cluster.workers", "2"), place.folder / "whole.log")
    processes, logs = place.start("told", "--cluster.resume_unfinished", "true", workers=2)
    processes[1].send_signal(signal.SIGTERM)
    assert _ended(processes) == [130, 130]
    assert "Training stopped by SIGTERM after step" in _text(logs[1])
    assert "Training stopped by a signal to another worker after step" in _text(logs[0])
    # The same command again, as a scheduler gives it.
    again = start_workers(place.arguments("told", "--cluster.resume_unfinished", "true"), logs)
    assert _ended(again) == [0, 0], _text(logs[0])
    assert "which was not finished" in _text(logs[0])
    assert len([path for path in (place.folder / "runs" / "told").iterdir() if not path.is_symlink()]) == 1
    assert largest_difference(place.run("whole"), place.run("told")).relative == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "number"), [(0, signal.SIGKILL), (1, signal.SIGSTOP), (0, signal.SIGSTOP)])
def test_the_chief_may_die_and_a_silent_worker_counts_as_dead(place: Place, victim, number):
    name = f"dead-{victim}-{int(number)}"
    processes, logs = place.start(name, "--train.epochs", "200", "--cluster.heartbeat_seconds", "5", workers=2)
    processes[victim].send_signal(number)
    survivor = 1 - victim
    try:
        assert processes[survivor].wait(timeout=60) == PEER_LOST
    finally:
        processes[victim].kill()
        processes[victim].wait()
    assert f"Worker {victim} (127.0.0.1:" in _text(logs[survivor])
    assert ("is silent" in _text(logs[survivor])) == (number == signal.SIGSTOP)


@pytest.mark.slow
def test_a_worker_that_never_comes_is_named(place: Place):
    log = place.folder / "lonely.log"
    config = {"cluster": {"worker": ["127.0.0.1:29371", "127.0.0.1:29372"]}, "task": {"type": "worker", "index": 0}}
    with log.open("wb") as output:
        command = [sys.executable, "-m", *place.arguments("lonely", "--cluster.wait_seconds", "5")]
        status = subprocess.run(
            command, env={**os.environ, "TF_CONFIG": json.dumps(config)}, stdout=output, stderr=output, timeout=120
        ).returncode
    assert status == 2
    assert "could not join the others within cluster.wait_seconds = 5" in _text(log)


@pytest.mark.slow
def test_the_time_from_a_death_to_the_stop_is_measured(place: Place, tmp_path):
    out = tmp_path / "cluster.json"
    assert measured.main(["--config", str(place.config), "--only", "stop", "--samples", "60", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    jsonschema.validate(told, SCHEMA)
    assert 0 < told["stop"]["killed"] < 60
    assert 0 < told["stop"]["silent"] < 60


@pytest.mark.slow
def test_a_short_measurement_has_its_documented_form(place: Place, tmp_path):
    out = tmp_path / "cluster.json"
    options = ["--samples", "60", "--steps", "88", "--batch", "8", "--rounds", "1", "--worlds", "2 workers"]
    assert measured.main(["--config", str(place.config), *options, "--out", str(out)]) in (0, 1)
    jsonschema.validate(json.loads(out.read_text()), SCHEMA)
