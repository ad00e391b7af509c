"""The verbs of the console script that need the extras for training; each hands its arguments on as they are."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Sequence

from mmkeras.core.errors import DependencyError, install_hint

__all__ = ["TRAINING", "run_training"]

TRAINING = {
    "fit": "train and export a model on your table, every file verified",
    "train": "run a configuration (my.toml), or a pipeline that is shipped (vqa, camera_radar)",
    "export": "export a run or a bundle, and verify every file",
}
"""What each verb does."""
_RUN = {"fit": "pipelines.fit:main", "train": "pipelines.train:main", "export": "export.__main__:main"}
_NEEDED = ("tensorflow", "keras", "jsonargparse", "tomlkit")


def run_training(command: str, arguments: Sequence[str]) -> int:
    """Run one verb and return its exit status.

    Raises:
        DependencyError: the extras are not installed.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"mmkeras {command} needs {', '.join(missing)}. Install it with: {install_hint('train,export')}"
        )
    status: int = pkgutil.resolve_name(_RUN[command])(list(arguments))
    return status
