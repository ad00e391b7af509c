"""Trains, evaluates and exports from a configuration, or a pipeline that is shipped: mmkeras train my.toml.

mmkeras train my.toml                        # a file that mmkeras fit has written, or your own
mmkeras train vqa --train.epochs 3           # the same as python -m pipelines.vqa --train.epochs 3
mmkeras train vqa --config my_vqa.toml
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pipelines
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.core.terminal import say, utf8_program

__all__ = ["main"]

_PROGRAMS = ("evaluate", "fit", "train")


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline or the configuration that the first argument names; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    shipped = [each.name for each in pkgutil.iter_modules(pipelines.__path__) if not each.name.startswith("_")]
    shipped = sorted(set(shipped) - set(_PROGRAMS))
    if not arguments or arguments[0] in ("-h", "--help"):
        say(f"{__doc__}\npipelines: {', '.join(shipped)}; options of one: mmkeras train vqa --help")
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if Path(name).suffix == ".toml":
        name, rest = "table", ["--config", name, *rest]
    if name not in shipped:
        error = ConfigError(f"{name}: expected a .toml file or a pipeline; {nearest(name, shipped)}")
        say(f"mmkeras train: {error}", to=sys.stderr)
        return 2
    status: int = pkgutil.resolve_name(f"pipelines.{name}:main")(rest)
    return status


if __name__ == "__main__":
    sys.exit(main())
