"""Evaluates a run or an exported file on new data, with the whole report.

mmkeras evaluate runs/samples/latest --data new.csv
mmkeras evaluate saved_models/samples/1 --data new.csv --format tflite --precision int8
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.runtime.rows import mapped_columns

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, write the report, and return the exit status."""
    given = _parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
    console = Console()
    try:
        from pipelines._table.new_data import NewData, evaluate_on, open_subject

        data = NewData(
            given.data, tuple(given.target), mapped_columns(given.map), tuple(given.slices), given.max_bad_share
        )
        with ExitStack() as stack:
            subject = open_subject(given.place, stack, format=given.format, precision=given.precision)
            console.print(subject.file, soft_wrap=True)
            out = given.out or Path(f"evaluation-{subject.name}-{given.data.stem}")
            evaluate_on(subject, data, out, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        console.print("\nInterrupted. Nothing half-written is left; the same command begins again.")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "mmkeras evaluate",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("place", type=Path, metavar="RUN_OR_BUNDLE", help="runs/NAME/latest, saved_models/NAME/1, .mmk")
    parser.add_argument("--data", type=Path, required=True, metavar="TABLE", help=".csv, .tsv, .jsonl or .parquet")
    parser.add_argument("--format", help="of a bundle: tflite, onnx, tensorrt or keras; the most exact file by default")
    parser.add_argument("--precision", help="of a bundle's file: float32, float16, int8-dynamic, int8, ...")
    parser.add_argument("--target", nargs="+", default=[], metavar="COLUMN", help="where the table calls it otherwise")
    parser.add_argument("--map", nargs="+", default=[], metavar="MODALITY=COLUMN", help="read another column")
    parser.add_argument(
        "--slices", nargs="+", default=[], metavar="COLUMN", help="to report by; all further by default"
    )
    parser.add_argument("--max-bad-share", type=float, metavar="SHARE", help="of rows that cannot be used, such as 0.1")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report; evaluation-NAME-TABLE by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
