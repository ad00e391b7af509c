"""Command lines that run a module of mmkeras in a new process, also when mmkeras is in a packed bundle."""

from __future__ import annotations

import sys
import zipimport

import mmkeras

__all__ = ["run_module"]


def run_module(module: str) -> list[str]:
    """Return the command line that runs a module of mmkeras; the caller appends arguments."""
    # An isolated Python stays isolated in its children.
    python = [sys.executable, *(["-I"] if sys.flags.isolated else [])]
    loader = mmkeras.__spec__.loader if mmkeras.__spec__ else None
    if not isinstance(loader, zipimport.zipimporter):
        return [*python, "-m", module]
    code = (
        f"import runpy, sys; sys.path.insert(0, {loader.archive!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [*python, "-c", code]
