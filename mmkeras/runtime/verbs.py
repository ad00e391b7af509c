"""The verbs of the console script that need the extras for training; each hands its arguments on as they are."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Sequence

from mmkeras.core.errors import DependencyError, install_hint

__all__ = ["TRAINING", "check_extras", "run_training"]

TRAINING = {
    "fit": "train and export a model on your table, every file verified",
    "train": "run a configuration (my.toml), or a pipeline that is shipped (vqa, camera_radar)",
    "evaluate": "evaluate a run or an exported file on new data, with the whole report",
    "export": "export a run or a bundle, and verify every file",
    "verify": "hold a model file of any tool to its reference, on your data: verdict, cause, exit status for CI",
}
"""What each verb does."""
_RUN = {
    **{name: f"pipelines.{name}:main" for name in ("fit", "train", "evaluate")},
    "export": "export.__main__:main",
    "verify": "export.foreign.command:main",
}
_NEEDED = ("tensorflow", "keras", "jsonargparse", "tomlkit")


def check_extras(what: str) -> None:
    """Check that the packages of training and export are installed.

    Raises:
        DependencyError: some are missing; the message says how to install them.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(f"{what} needs {', '.join(missing)}. Install it with: {install_hint('train,export')}")


def run_training(command: str, arguments: Sequence[str]) -> int:
    """Run one verb and return its exit status.

    Raises:
        DependencyError: the extras are not installed.
    """
    check_extras(f"mmkeras {command}")
    status: int = pkgutil.resolve_name(_RUN[command])(list(arguments))
    return status
