"""``mmkeras stream``: replays a drive to a bundle as the sensors would send it, and writes a report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.driving.stream.clock import Clock, RealClock, SteppedClock
from mmkeras.driving.stream.detector import BundleDetector
from mmkeras.driving.stream.drawing import annotated, has_mp4, write_video
from mmkeras.driving.stream.faults import parse_fault, read_faults
from mmkeras.driving.stream.injection import Injection
from mmkeras.driving.stream.messages import Answer
from mmkeras.driving.stream.replay import Recording, play
from mmkeras.driving.stream.report import report, stream_tables, summary
from mmkeras.driving.stream.settings import Settings
from mmkeras.driving.stream.stream import SensorStream
from mmkeras.driving.stream.timeline import timeline
from mmkeras.runtime.predictor import Predictor
from mmkeras.storage.files import write_json, write_text
from mmkeras.storage.privacy import Redaction, recorded

__all__ = ["add_options", "stream"]

Progress = Callable[[str], None]
REPORT = "stream.json"
_WARMUP = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    defaults = Settings()
    add = parser.add_argument
    add("drive", metavar="NUSCENES_DIR", help="a directory in nuScenes' format")
    add("--out", metavar="FOLDER", required=True, help="where frames, video, timeline.png and stream.json are written")
    add("--rate", type=float, default=1.0, metavar="X", help="speed of the replay; 0: as fast as possible (default: 1)")
    add("--as-fast-as-possible", action="store_true", help="the same as --rate 0: work delays no frame")
    add("--scene", default="", metavar="NAME", help="default: the first held-out scene of splits.json, or the first")
    add("--camera", default="CAM_FRONT", metavar="CHANNEL", help="default: CAM_FRONT; its view selects the radars")
    add("--limit", type=float, default=0.0, metavar="SECONDS", help="play only the first seconds")
    add("--fault", action="append", default=[], metavar="TEXT", help='for example "kill radar at 3 s"; may be repeated')
    add("--faults", metavar="FILE", help="a file of such lines, or TOML with a list faults")
    for name, unit, text in (
        ("max_skew", "MS", "largest time between a frame and a radar's newest sweep"),
        ("max_age", "MS", "largest age of a sweep"),
        ("deadline", "MS", "time from a frame's arrival to its answer; it limits the wait for a late radar"),
        ("queue", "N", "most frames that wait"),
    ):
        value = getattr(defaults, name)
        shown = value if unit == "N" else value / 1000
        kind = int if unit == "N" else float
        flag = f"--{name.replace('_', '-')}"
        add(flag, type=kind, default=shown, metavar=unit, help=f"{text} (default: {shown:g})")
    add("--sweeps", type=int, metavar="N", help="most sweeps of each radar for a frame (default: as in training)")
    add("--no-pictures", action="store_true", help="write no annotated frames and no video")


def stream(bundle: Bundle, options: argparse.Namespace, progress: Progress = show_progress) -> int:
    """Replay a drive and write the folder; it appears whole or not at all."""
    out = Path(options.out)
    _check_out(out)
    rate = 0.0 if options.as_fast_as_possible else options.rate
    if rate < 0 or options.limit < 0:
        raise ConfigError(f"--rate and --limit: expected 0 or more, got {options.rate:g} and {options.limit:g}")
    faults = [parse_fault(text, "--fault") for text in options.fault]
    faults += read_faults(options.faults) if options.faults else []
    progress(f"indexing {options.drive}")
    recording = Recording.open(options.drive, options.scene, options.camera, options.limit)
    with Predictor(
        bundle, options.format, options.precision, threads=options.threads, device=options.device
    ) as predictor:
        hidden = recorded(bundle.manifest.provenance) or Redaction()
        # From here on the scene has its redacted name.
        recording = dataclasses.replace(recording, scene=hidden.name(recording.scene))
        say(f"{predictor.description} on {recording.scene} of {options.drive}", to=sys.stderr)
        detector = BundleDetector(predictor)
        settings = Settings(
            max_skew=round(1e3 * options.max_skew),
            max_age=round(1e3 * options.max_age),
            deadline=round(1e3 * options.deadline),
            queue=options.queue,
            sweeps=detector.sweeps if options.sweeps is None else options.sweeps,
            frame_period=recording.frame_period,
        )
        injection = Injection(faults, recording.start)
        progress("reading the messages")
        arrivals = list(injection(recording.arrivals()))
        for _ in range(_WARMUP):
            # An engine's first calls allocate memory; a vehicle makes them before it moves.
            detector.decode(detector.infer(None, None), detector.camera_pose)
        clock: Clock = RealClock(recording.start, rate) if rate else SteppedClock(recording.start)
        sensors = SensorStream(detector, clock, settings)
        answers = []
        for answer in play(sensors, arrivals, clock, recording.end):
            answers.append(answer)
            progress(f"{(answer.arrived - recording.start) / 1e6:.1f} s  {answer.kind}")
        aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            aside.mkdir(parents=True)
            value = report(sensors, predictor, recording, injection, drive=options.drive, rate=rate)
            bare = options.no_pictures or hidden.everything
            outputs = _write(aside, sensors, answers, injection, recording, detector, bare, progress)
            value["outputs"] = [*outputs, REPORT]
            write_json(aside / REPORT, value)
            _move(aside, out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    if options.json:
        say_json(value, indent=2)
        return 0
    from mmkeras.runtime import tables

    drive, file = value["drive"], value["bundle"]
    say(
        f"{drive['scene']}: {drive['seconds']:.1f} s at rate {rate:g}; {file['path']} on {file['engine']}, "
        f"{file['threads']} thread(s)"
    )
    tables.show(stream_tables(value))
    for line in summary(value):
        say(line)
    say(f"written to {out}: {', '.join(value['outputs'])}")
    if hidden.everything:
        say("No annotated frames and no video: privacy.redact of the bundle's run hides pictures.")
    elif not options.no_pictures and not has_mp4():
        say("The video is an animated WebP: PyAV is not installed (pip install 'mmkeras[stream]' brings MP4).")
    say(f"Next: {_next(bundle, options, bool(faults) or hidden.everything)}")
    return 0


def _write(
    folder: Path,
    sensors: SensorStream,
    answers: Sequence[Answer],
    injection: Injection,
    recording: Recording,
    detector: BundleDetector,
    no_pictures: bool,
    progress: Progress,
) -> list[str]:
    lines = [json.dumps(answer.to_json(), ensure_ascii=False, allow_nan=False) for answer in answers]
    write_text(folder / "detections.jsonl", "".join(f"{line}\n" for line in lines))
    kinds = sensors.statistics
    title = f"{recording.scene}: {kinds.answered} of {len(answers)} frames answered by the model"
    picture = timeline(sensors.intake.sensors, answers, injection.faults, recording.start, recording.end, title)
    Image.fromarray(picture).save(folder / "timeline.png")
    outputs = ["detections.jsonl", "timeline.png"]
    if no_pictures or not answers:
        return outputs
    (folder / "frames").mkdir()

    def pictures() -> Iterator[np.ndarray]:
        for index, answer in enumerate(sorted(answers, key=lambda a: a.arrived)):
            progress(f"drawing {index + 1} of {len(answers)}")
            drawn = annotated(answer, detector, recording.start)
            Image.fromarray(drawn).save(folder / "frames" / f"{index:06d}.jpg", quality=90)
            yield drawn

    video = write_video(folder / "video", pictures(), 1e6 / recording.frame_period)
    return [*outputs, "frames", video.name]


def _check_out(out: Path) -> None:
    """Refuse to replace a folder that this command has not written."""
    if out.exists() and not (out / REPORT).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: exists and is not an output of mmkeras stream; name another folder")


def _move(aside: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        os.replace(out, old)
    os.replace(aside, out)
    shutil.rmtree(old, ignore_errors=True)


def _next(bundle: Bundle, options: argparse.Namespace, faulty: bool) -> str:
    if faulty:
        return f"look at {Path(options.out) / 'timeline.png'}, or mmkeras benchmark {bundle.folder}"
    scene = f" --scene {options.scene}" if options.scene else ""
    return (
        f"mmkeras stream {bundle.folder} {options.drive}{scene} --out {options.out}-faults "
        '--fault "kill radar at 3 s" --fault "revive radar at 6 s"'
    )
