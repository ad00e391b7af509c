"""Writes simulated drives as a nuScenes directory."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.core.errors import DataError
from mmkeras.core.parallel import WorkerDied, WorkerPool
from mmkeras.driving.simulation.conditions import SceneRequest, plan_scenes
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.sample_page import write_sample_page
from mmkeras.driving.simulation.scene_rows import CAMERA, Rows, write_tables
from mmkeras.driving.simulation.scene_writer import write_scene
from mmkeras.storage.files import locked, write_bytes, write_json

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["simulate"]

FORMAT = 3
"""Version of the output: a directory of another version is not reused."""
NOTE = "simulation.json"
PARTS = "parts"


def simulate(config: SimulationConfig, folder: Path, console: Console | None = None) -> Path:
    """Write a nuScenes directory of simulated drives, and return it.

    It is written as ``<folder>.partial`` and renamed when it is complete. After an interruption the same call continues
    with the missing scenes. A directory of the same configuration is left unchanged.

    Raises:
        DataError: ``folder`` holds something else, or a worker process died.
    """
    folder = Path(folder)
    if folder.exists():  # it appears whole, and may lie where nothing can be written
        return _simulate(config, folder, console)
    folder.parent.mkdir(parents=True, exist_ok=True)
    say = None if console is None else functools.partial(console.print, markup=False, soft_wrap=True)
    with locked(folder.with_name(folder.name + ".lock"), "which simulates the same drives", say):
        return _simulate(config, folder, console)


def _simulate(config: SimulationConfig, folder: Path, console: Console | None) -> Path:
    note = {"format": FORMAT, **config.identity}
    if folder.exists():
        if _note(folder) == note:
            return folder
        raise DataError(
            f"{folder}: expected nothing or drives simulated with the same configuration, "
            "got something else; delete it or name another folder"
        )
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists() and _note(partial) != note:
        shutil.rmtree(partial)
    for kind in ("samples", "sweeps"):
        for channel in (CAMERA, *RADARS):
            (partial / kind / channel).mkdir(parents=True, exist_ok=True)
    write_json(partial / NOTE, note)
    requests = plan_scenes(config)
    missing = [request for request in requests if not _part(partial, request).is_file()]
    with _progress(console, len(requests)) as advance:
        advance(len(requests) - len(missing))
        _run(missing, config, partial, advance)
    scenes: list[Rows] = [json.loads(_part(partial, request).read_bytes()) for request in requests]
    write_tables(partial, requests, scenes)
    write_sample_page(partial, requests, scenes)
    shutil.rmtree(partial / PARTS)
    os.replace(partial, folder)
    return folder


def _note(folder: Path) -> object:
    try:
        return json.loads((folder / NOTE).read_bytes())
    except (OSError, ValueError):
        return None


def _part(folder: Path, request: SceneRequest) -> Path:
    return folder / PARTS / f"{request.name}.json"


def _simulate_scene(request: SceneRequest, config: SimulationConfig, folder: Path) -> None:
    rows = write_scene(request, config, folder)
    write_bytes(_part(folder, request), json.dumps(rows, separators=(",", ":"), allow_nan=False).encode())


def _run(requests: list[SceneRequest], config: SimulationConfig, folder: Path, advance: Callable[[int], None]) -> None:
    workers = min(config.workers or os.cpu_count() or 1, len(requests))
    if workers <= 1 or len(requests) < 4:
        for request in requests:
            _simulate_scene(request, config, folder)
            advance(1)
        return
    try:
        with WorkerPool(workers) as pool:
            for future in as_completed([pool.submit(_simulate_scene, request, config, folder) for request in requests]):
                future.result()
                advance(1)
    except WorkerDied as error:
        raise DataError(
            f"A worker process died ({error}), perhaps for lack of memory. Finished scenes are kept: run the same "
            "again, with fewer workers if it repeats"
        ) from None


@contextlib.contextmanager
def _progress(console: Console | None, scenes: int) -> Iterator[Callable[[int], None]]:
    if console is None:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mmkeras.core.console import DescriptionColumn

    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Simulating drives", total=scenes)
        yield lambda done: bar.advance(task, done)
