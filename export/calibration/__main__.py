"""``python -m export.calibration RUN_OR_BUNDLE``: choose calibration samples or audit a file of them.

Example:
    python -m export.calibration runs/vqa/latest --save calibration.npz
    python -m export.calibration runs/vqa/latest --calibration mine.npz
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.layers.keras_settings import check_keras

if TYPE_CHECKING:
    from export.calibration.calibration import Calibration
    from export.calibration.checks import Check
    from mmkeras.core.console import Console

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the contents of a calibration set and the warnings of an export.

    Returns 0 for samples that an export accepts, 1 for samples that it refuses, 2 for an error.
    """
    parser = argparse.ArgumentParser(
        "python -m export.calibration", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("source", type=Path, metavar="RUN_OR_BUNDLE", help="runs/vqa/latest or saved_models/vqa/1")
    parser.add_argument(
        "--calibration", default="", metavar="FILE.npz", help="samples to audit (default: choose samples)"
    )
    parser.add_argument(
        "--calibration-samples",
        type=int,
        default=ExportConfig.calibration_samples,
        help="samples to choose from the training split (%(default)s)",
    )
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="write the chosen samples")
    given = parser.parse_args(arguments)
    # Before TensorFlow is loaded, to hide its start-up messages.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        check_keras()
        return _run(given)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    from export.calibration.audit import audit, inspect_looks
    from export.calibration.calibration import load_calibration, save_calibration
    from export.calibration.prepare import prepare_calibration
    from export.source import load_source
    from mmkeras.core.console import Console

    if given.save and given.calibration:
        raise ConfigError("--save writes chosen samples: give it or --calibration, not both")
    console = Console()
    source = load_source(given.source, 1)
    with console.status("calibration") as status:
        if not given.calibration:
            config = ExportConfig(calibration_samples=given.calibration_samples)
            calibration = prepare_calibration(source, config, status.update)
        else:
            calibration = load_calibration(Path(given.calibration), source.specs, part=source.held_to_itself)
        checks = inspect_looks(calibration, source, status.update)
        if given.calibration and all(check.passed for check in checks):
            calibration = audit(calibration, source, status.update)
    _show(calibration, checks, console)
    if given.save:
        console.print(f"written: {save_calibration(calibration, given.save)}", highlight=False)
    refused = bool(given.calibration) and not all(check.passed for check in checks)
    verdict, style = ("refused", "red") if refused else ("an export accepts these samples", "green")
    console.print(verdict, style=style)
    return int(refused)


def _show(calibration: Calibration, checks: list[Check], console: Console) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    console.print(f"{len(calibration)} samples of {calibration.source}, fingerprint {calibration.fingerprint}")
    for name, counts in calibration.strata.items():
        console.print(f"  {name}: " + ", ".join(f"{label} {count}" for label, count in counts.items()), highlight=False)
    table = Table("input", "property", "training", "expected", "got", "", box=SIMPLE, padding=(0, 1, 0, 0))
    for check in checks:
        mark = Text("ok", style="green") if check.passed else Text("no", style="red")
        table.add_row(check.tensor, check.what, f"{check.usual:.3g}", check.limits, f"{check.got:.3g}", mark)
    console.print(table)
    for warning in calibration.warnings:
        console.print(warning, style="yellow")


if __name__ == "__main__":
    sys.exit(main())
