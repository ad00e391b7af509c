"""Converts the data of a vqa configuration and nothing else, as a process that can be killed.

python -m tests.faults.conversion --config tests/faults/tiny.toml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmkeras.core.command_line import parse
from mmkeras.core.console import Console
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.disk import explain
from pipelines.vqa import VqaConfig

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; return 0, or 2 for an error."""
    console = Console(stderr=True)
    try:
        config, _ = parse(VqaConfig, arguments, program="python -m tests.faults.conversion", description=__doc__ or "")
        from mmkeras.data.convert import convert
        from mmkeras.model import specs_before_data, task_config

        convert(config.data, specs_before_data(config.model), task_config(config.model), console)
    except MmkerasError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    except Exception as error:
        if not (said := explain(error)):
            raise
        console.print(f"Stopped: {said}", markup=False, highlight=False, soft_wrap=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
