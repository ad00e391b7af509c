"""Any table: its columns as `mmkeras fit` proposes them, or as a configuration names them.

mmkeras fit samples.csv --target answer          # writes samples.toml and runs it
python -m pipelines.table --config samples.toml  # the same again, with changes: mmkeras train samples.toml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.config import RunConfig
from mmkeras.core.terminal import utf8_program
from pipelines._stages.story import run_story

__all__ = ["DEFAULTS", "TableConfig", "main"]

DEFAULTS = Path(__file__).parent / "configs" / "table.toml"
"""The defaults of every table."""


@dataclass(frozen=True)
class TableConfig(RunConfig):
    """A run on somebody's table; its modalities stand in the configuration."""

    name: str = "table"
    """Name of the run's folder and of the saved model."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    description = (__doc__ or "").split("\n\n")[0]
    return run_story(TableConfig, arguments, program=Path(__file__), description=description)


if __name__ == "__main__":
    sys.exit(main())
