"""``python -m export RUN_OR_BUNDLE``: export a trained model and prove every file against it.

Example:
    python -m export runs/vqa/latest --formats saved_model tflite onnx --precisions float32 float16 int8-dynamic
    python -m export doctor vqa    # before a training: how each target converts every layer, and how to fix it
    python -m export fine-tune runs/vqa/latest    # if int8 loses too much: quantization-aware training, then export
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.layers.keras_settings import check_keras

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Export, print the table and return the exit status.

    Returns:
        0 when every file was accepted, 1 when one was rejected, 2 when nothing could be exported.
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
        epilog="python -m export doctor RUN examines a model, trained or not, before an export: see doctor --help. "
        "python -m export fine-tune RUN recovers accuracy that int8 loses: see fine-tune --help",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", type=Path, metavar="RUN_OR_BUNDLE", help="runs/vqa/latest or saved_models/vqa/1")
    add("--formats", nargs="+", default=default.formats, help="formats to write (%(default)s)")
    add("--precisions", nargs="+", default=default.precisions, help="precisions, or rungs of the ladder (%(default)s)")
    ladder = "try the precisions of each format from the smallest and fastest up, and keep the first within the budget"
    add("--ladder", action="store_true", help=ladder)
    drop = "budget: largest loss of the task metric, in every modality scenario and slice (default: 0.5 for int8)"
    add("--max-metric-drop", type=float, metavar="POINTS", help=drop)
    flips = "budget: largest share of changed decisions with every modality there (default: 0.5 for float16)"
    add("--max-flips", type=float, metavar="PERCENT", help=flips)
    samples = "arrays by input name to calibrate static int8 on (default: samples chosen from the training split)"
    add("--calibration", default=default.calibration, metavar="FILE.npz", help=samples)
    count = "training samples to choose for the calibration (%(default)s)"
    add("--calibration-samples", type=int, default=default.calibration_samples, help=count)
    add("--samples", type=int, default=default.samples, help="test samples to verify each file on (%(default)s)")
    sought = "validation samples to search with for the layers that stay in float (%(default)s)"
    add("--search-samples", type=int, default=default.search_samples, help=sought)
    place = "bundles go to OUT/<name>/<version> (%(default)s)"
    add("--out", dest="folder", metavar="OUT", default=default.folder, help=place)
    given = vars(parser.parse_args(arguments))
    source = given.pop("source")
    # Before TensorFlow is loaded: hide its start-up messages.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    changes: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    config = dataclasses.replace(default, **changes)
    try:
        check_keras()
        from export.run import export_run

        report = export_run(source, config)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    return 0 if report.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
