"""``python -m export RUN_OR_BUNDLE``: export a trained model and prove every file against it.

Example:
    python -m export runs/vqa/latest --formats saved_model tflite onnx --precisions float32 float16 int8-dynamic
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.config import ExportConfig
from mmkeras.errors import MmkerasError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Export, print the table and return the exit status.

    Returns:
        0 when every file was accepted, 1 when one was not, 2 when nothing could be exported.
    """
    default = ExportConfig()
    parser = argparse.ArgumentParser("python -m export", description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="RUN_OR_BUNDLE", help="runs/vqa/latest or saved_models/vqa/1")
    parser.add_argument("--formats", nargs="+", default=default.formats, help="formats to write (%(default)s)")
    parser.add_argument("--precisions", nargs="+", default=default.precisions, help="precisions (%(default)s)")
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
    )
    from export.run import export_run

    try:
        report = export_run(given.source, config)
    except MmkerasError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0 if report.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
