"""Folders of runs: creates them, locks them for one thread, and points ``latest`` at them."""

from __future__ import annotations

import datetime
import os
import threading
from pathlib import Path

from mmkeras.core.errors import TrainingError
from mmkeras.storage.disk import explain
from mmkeras.storage.files import claim, sweep

__all__ = ["claim_run", "new_run_folder", "point_latest", "release_runs"]

_STAMP = "%Y%m%d-%H%M%S"
_claimed: dict[Path, tuple[int, int]] = {}
"""Descriptor and thread by folder."""


def new_run_folder(root: Path, name: str) -> Path:
    """Create and lock ``<root>/<name>/<time>``; runs of the same second get a number.

    It also removes folders of starts that were killed before they wrote run.json.

    Raises:
        TrainingError: the folder cannot be created.
    """
    stamp = datetime.datetime.now().strftime(_STAMP)
    parent = root / name
    sweep(folder for folder in parent.glob("[0-9]*-[0-9]*") if not (folder / "run.json").exists())
    for attempt in range(1, 100):
        folder = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
            claim_run(folder)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise TrainingError(explain(error, folder) or f"{folder}: cannot be created: {error.strerror}") from error
    raise TrainingError(f"{root / name}: could not create a folder for the run; 99 of them exist for {stamp}")


def claim_run(folder: Path) -> None:
    """Lock a run's folder for this thread, and remove the unfinished files of a killed process.

    Raises:
        TrainingError: another process or thread uses the folder.
    """
    folder, thread = folder.resolve(), threading.get_ident()
    if folder in _claimed and _claimed[folder][1] == thread:
        return
    try:
        _claimed[folder] = (claim(folder), thread)
    except BlockingIOError:
        raise TrainingError(
            f"{os.path.relpath(folder)}: another process or thread uses this run. Two of them would damage the "
            "checkpoints: wait for it, stop it, or start a new run without --resume"
        ) from None
    except OSError:
        return  # a file system without locks
    sweep(folder.rglob(".*.tmp*"))


def release_runs() -> None:
    """Unlock the folders of this thread."""
    for folder, (descriptor, thread) in list(_claimed.items()):
        if thread == threading.get_ident():
            del _claimed[folder]
            os.close(descriptor)


def point_latest(folder: Path) -> None:
    """Replace the link ``latest`` beside the run atomically by one to the run."""
    aside = folder.parent / f".latest.{os.getpid()}-{threading.get_native_id()}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(folder.name)
    os.replace(aside, folder.parent / "latest")
