"""``python -m export fine-tune RUN``: fine-tunes a run whose int8 file loses too much of the task's metric.

Example:
    python -m export fine-tune runs/vqa/latest --steps 600
    python -m export fine-tune runs/vqa/20261123-120000-int8 --resume
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.layers.keras_settings import check_keras

__all__ = ["main"]

_DESCRIPTION = (
    "Train a finished run further on the int8 grid, in a new run folder, and measure the gain of its int8 file. The "
    "weights stay float32: the new run is evaluated and exported like any other."
)
_STATUS = (
    "Exit status: 0 when int8 gained more than chance explains and float32 lost at most half a point, 1 otherwise, 2 "
    "for an error, 130 when stopped; --resume continues a stopped fine-tuning."
)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune, measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m export fine-tune", description=_DESCRIPTION, epilog=_STATUS, allow_abbrev=False
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a finished run such as runs/vqa/latest; with --resume, the stopped one")
    add("--resume", action="store_true", help="continue RUN, a fine-tuning that was stopped")
    add("--format", help="format whose int8 grid is learnt: tflite (default) or onnx")
    add("--steps", type=int, help="training steps (600)")
    add("--rounds", type=int, help="rounds, each with a validation; the best one is kept (4)")
    add("--learning-rate", type=float, metavar="RATE", help="peak learning rate (a tenth of the run's own)")
    add("--keep", nargs="+", metavar="LAYER", help="patterns of Keras layers that stay in float, such as 'head_*'")
    add("--out", type=Path, metavar="FOLDER", help="folder of the new run (RUN-int8)")
    add("--samples", type=int, default=500, help="validation samples to measure on, before and after (%(default)s)")
    add("--calibration-samples", type=int, default=200, help="training samples to measure ranges on (%(default)s)")
    given = parser.parse_args(arguments)
    # Before TensorFlow is loaded, to hide its start-up messages.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    names = ("format", "steps", "rounds", "learning_rate", "keep")
    options = {name: value for name in names if (value := getattr(given, name)) is not None}
    try:
        for name in ("samples", "calibration_samples"):
            if getattr(given, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')}: expected at least 1, got {getattr(given, name)}")
        if given.resume and (options or given.out):
            named = ", ".join(f"--{name.replace('_', '-')}" for name in (*options, *(["out"] if given.out else [])))
            raise ConfigError(f"--resume keeps the options of the fine-tuning; it cannot be combined with {named}")
        check_keras()
        from export.fine_tuning.run import tune

        return tune(
            given.run,
            options,
            resume=given.resume,
            out=given.out,
            samples=given.samples,
            calibration_samples=given.calibration_samples,
        )
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("\nInterrupted. Finished rounds are kept; --resume with the new run's folder continues.", to=sys.stderr)
        return 130
