"""Writes simulated clips with statements about them, half of them true: a table and film strips."""

from __future__ import annotations

import csv
import functools
import io
import math
import os
import shutil
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from mmkeras.core.console import Console, DescriptionColumn
from mmkeras.core.errors import ConfigError
from mmkeras.core.parallel import WorkerPool
from mmkeras.driving.simulation.camera import View, mounting, turn
from mmkeras.driving.simulation.config import Conditions
from mmkeras.driving.simulation.events import EVENTS, SECONDS, Event, Staged, stage
from mmkeras.driving.simulation.exposure import expose
from mmkeras.driving.simulation.painting import Painter
from mmkeras.driving.simulation.weather import atmosphere
from mmkeras.media.clips.strip import write_strip
from mmkeras.media.geometry import Pose
from mmkeras.storage.files import locked, write_bytes, write_json

__all__ = ["NOTE", "STATEMENTS", "ClipsConfig", "frames_of", "simulate_clips", "write_clips"]

FORMAT = 1
"""Version of the output."""
NOTE = "simulation.json"
STATEMENTS = "statements.csv"
COLUMNS = ("clip", "statement", "answer", "split", "happens", "false_in", "light")
_BATCH = 20


@dataclass(frozen=True)
class ClipsConfig:
    """The numbers of a set of clips. Equal configurations give equal bytes, whatever the number of workers."""

    train: int = 1800
    """Clips of the training split, each with a true and a false statement."""
    validation: int = 180
    """Clips of the validation split."""
    test: int = 360
    """Clips of the test split."""
    frames: int = 6
    """Frames of a clip, at equal distances in two seconds."""
    width: int = 72
    """Columns of a frame."""
    height: int = 48
    """Rows of a frame."""
    field_of_view: float = 50.0
    """Horizontal, in degrees."""
    other_subject: float = 0.25
    """Share of the false statements with another subject and the same direction; the others reverse the motion."""
    dusk: float = 0.15
    """Share of clips at dusk."""
    rain: float = 0.1
    """Share of clips in rain."""
    seed: int = 0
    """Seed of all random numbers."""
    workers: int = 0
    """Worker processes; 0: one per core."""

    def __post_init__(self) -> None:
        """Check the values, with a `ConfigError` for a wrong one."""
        for name in ("other_subject", "dusk", "rain"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"ClipsConfig.{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        if self.train < 1 or min(self.validation, self.test, self.workers, self.seed) < 0:
            raise ConfigError("ClipsConfig: expected at least one clip to train on, and no negative numbers")
        if self.frames < 2 or min(self.width, self.height) < 32 or not 20.0 <= self.field_of_view <= 120.0:
            raise ConfigError("ClipsConfig: expected two frames of 32 pixels or more, and a view of 20 to 120 degrees")

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that determine the output: all but ``workers``."""
        return {"format": FORMAT, **{name: value for name, value in asdict(self).items() if name != "workers"}}


def simulate_clips(config: ClipsConfig, folder: Path, console: Console | None = None) -> Path:
    """Write ``statements.csv`` and ``clips/*.png`` into a folder, and return it; see `write_clips`.

    It is written as ``<folder>.partial`` and renamed when it is complete; a complete folder is left unchanged.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    say = None if console is None else functools.partial(console.print, markup=False, soft_wrap=True)
    with locked(folder.with_name(folder.name + ".lock"), "which simulates the same clips", say):
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            write_clips(config, partial, console)
            os.replace(partial, folder)
    return folder


def write_clips(config: ClipsConfig, folder: Path, console: Console | None = None) -> None:
    """Write a set of clips into a folder.

    ``statements.csv`` has two rows for each clip, a true statement and a false one: ``clip`` (a film strip, see
    `mmkeras.media.clips.strip`), ``statement``, ``answer`` (``true`` or ``false``), ``split``, and what reports slice
    by: ``happens`` (the family of the event), ``false_in`` (``motion`` or ``subject``) and ``light``. Each statement is
    as often true as false in every split, up to one clip.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    plan = _plan(config)
    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    batches = [range(start, min(start + _BATCH, len(plan))) for start in range(0, len(plan), _BATCH)]
    workers = min(config.workers or os.cpu_count() or 1, len(batches))
    with Progress(*columns, console=console, disable=console is None) as bar:
        task = bar.add_task("Simulating clips", total=len(plan))
        if workers <= 1:
            for batch in batches:
                _write(config, folder, batch)
                bar.advance(task, len(batch))
        else:
            with WorkerPool(workers) as pool:
                for future in as_completed([pool.submit(_write, config, folder, batch) for batch in batches]):
                    bar.advance(task, future.result())
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (split, event, false, false_in) in enumerate(plan):
        conditions, _ = _scene(config, number)
        about = (event.family, false_in, f"{conditions.time_of_day}, {conditions.weather}")
        for said, answer in ((event, "true"), (false, "false")):
            writer.writerow((_name(number), said.statement, answer, split, *about))
    write_bytes(folder / STATEMENTS, table.getvalue().encode())
    write_json(folder / NOTE, config.identity)


def frames_of(staged: Staged, config: ClipsConfig, rng: np.random.Generator) -> np.ndarray:
    """Return the pictures of a world, uint8 (frames, height, width, 3), from the ego vehicle's camera."""
    air = atmosphere(staged.world.request.conditions, rng)
    painter, size = Painter(staged.world, air), (config.width, config.height)
    focal = config.width / 2 / math.tan(math.radians(config.field_of_view) / 2)
    camera = mounting(1.7, 0.0, 1.5, *np.radians(rng.normal(0.0, (0.4, 0.6))))
    pictures = []
    for number in range(config.frames):
        time = (number + 0.5) * SECONDS / config.frames
        position, heading, _ = staged.world.tracks.at(time)
        matrix = np.eye(4)
        matrix[:3, :3] = turn(float(heading[0]) + staged.yaw * (time - SECONDS / 2), 0.0, 0.0)
        matrix[:3, 3] = staged.world.ground.lift(position[0])
        pitch, roll = rng.normal(0.0, math.radians(0.15), 2)
        view = View.of(Pose.from_matrix(matrix), camera, pitch, roll, focal, size)
        pictures.append(expose(painter.paint(view, time)[0], air, rng))
    return np.stack(pictures)


def _plan(config: ClipsConfig) -> list[tuple[str, Event, Event, str]]:
    """Return split, event, false statement and what is wrong with it, of every clip."""
    plan: list[tuple[str, Event, Event, str]] = []
    for split in ("train", "validation", "test"):
        rng = np.random.default_rng([config.seed, 1, len(split)])
        rows: list[tuple[str, Event, Event, str]] = []
        for number in range(getattr(config, split)):
            # In turn, so that each statement is false as often as it is true.
            round_, event = number // len(EVENTS), EVENTS[number % len(EVENTS)]
            by_subject = math.floor((round_ + 1) * config.other_subject) > math.floor(round_ * config.other_subject)
            false, wrong = (event.another, "subject") if by_subject else (event.opposite, "motion")
            rows.append((split, event, false, wrong))
        plan += [rows[place] for place in rng.permutation(len(rows))]
    return plan


def _scene(config: ClipsConfig, number: int) -> tuple[Conditions, np.random.Generator]:
    """Return the conditions of a clip, and the generator of all that follows."""
    rng = np.random.default_rng([config.seed, 2, number])
    light = "dusk" if rng.random() < config.dusk else "day"
    weather = "rain" if rng.random() < config.rain else "clear"
    place = str(rng.choice(("city", "suburb", "country"), p=(0.4, 0.35, 0.25)))
    return Conditions(light, weather, bool(rng.random() < 0.6) and weather == "clear", place), rng


def _name(number: int) -> str:
    return f"clips/{number:05d}.png"


def _write(config: ClipsConfig, folder: Path, numbers: range) -> int:
    plan = _plan(config)
    for number in numbers:
        conditions, rng = _scene(config, number)
        frames = frames_of(stage(plan[number][1], conditions, rng), config, rng)
        (folder / _name(number)).write_bytes(write_strip(frames, np.ones(config.frames, bool)))
    return len(numbers)
