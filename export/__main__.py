"""``python -m export RUN_OR_BUNDLE``: export a trained model and prove every file against it.

Example:
    python -m export runs/vqa/latest --formats saved_model tflite onnx --precisions float32 float16 int8-dynamic
    python -m export doctor vqa    # before a training: what each target makes of every layer, and what cures it
    python -m export fine-tune runs/vqa/latest    # where int8 loses too much: learn its grid, then export the new run
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.layers.keras_settings import check_keras

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Export, print the table and return the exit status.

    Returns:
        0 when every file was accepted, 1 when one was not, 2 when nothing could be exported.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["doctor"]:
        from export.doctor.command import main as doctor

        return doctor(arguments[1:])
    if arguments[:1] == ["fine-tune"]:
        from export.fine_tuning.command import main as fine_tune

        return fine_tune(arguments[1:])
    default = ExportConfig()
    parser = argparse.ArgumentParser(
        "python -m export",
        description=__doc__.split("\n")[0],
        epilog="python -m export doctor RUN examines a model, trained or not, before an export: doctor --help. "
        "python -m export fine-tune RUN recovers what int8 loses: fine-tune --help",
        allow_abbrev=False,
    )
    parser.add_argument("source", type=Path, metavar="RUN_OR_BUNDLE", help="runs/vqa/latest or saved_models/vqa/1")
    parser.add_argument("--formats", nargs="+", default=default.formats, help="formats to write (%(default)s)")
    parser.add_argument(
        "--precisions", nargs="+", default=default.precisions, help="precisions, or rungs of the ladder (%(default)s)"
    )
    parser.add_argument(
        "--ladder",
        action="store_true",
        help="go from the smallest and fastest precision of each format up and ship the first that holds the budget",
    )
    parser.add_argument(
        "--max-metric-drop",
        type=float,
        metavar="POINTS",
        help="budget: largest loss of the task metric, in every modality scenario and slice (default: 0.5 for int8)",
    )
    parser.add_argument(
        "--max-flips",
        type=float,
        metavar="PERCENT",
        help="budget: largest share of changed decisions where everything is there (default: 0.5 for float16)",
    )
    parser.add_argument(
        "--calibration",
        default=default.calibration,
        metavar="FILE.npz",
        help="samples by input name that static int8 measures its ranges on (default: chosen from the training split)",
    )
    parser.add_argument(
        "--calibration-samples",
        type=int,
        default=default.calibration_samples,
        help="training samples to choose for that (%(default)s)",
    )
    parser.add_argument(
        "--samples", type=int, default=default.samples, help="test samples to verify each file on (%(default)s)"
    )
    parser.add_argument("--out", default=default.folder, help="bundles go to OUT/<name>/<version> (%(default)s)")
    given = parser.parse_args(arguments)
    # Before TensorFlow is loaded: its start-up notes are not about the export.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    config = dataclasses.replace(
        default,
        folder=given.out,
        formats=tuple(given.formats),
        precisions=tuple(given.precisions),
        samples=given.samples,
        ladder=given.ladder,
        max_metric_drop=given.max_metric_drop,
        max_flips=given.max_flips,
        calibration=given.calibration,
        calibration_samples=given.calibration_samples,
    )
    try:
        check_keras()
        from export.run import export_run

        report = export_run(given.source, config)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    return 0 if report.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
