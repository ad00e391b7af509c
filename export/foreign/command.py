"""``mmkeras verify``: its options, and its exit status."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, show_progress, utf8_program

__all__ = ["main"]

_DESCRIPTION = """Compares a model file that any tool made with its reference, on your data, and says if it may ship:
differences, changed decisions, the metric with its interval, slices, missing inputs, spoilt pictures, latency, size.
Where both sides take a picture differently (BGR, another scale, layout or resizing), or hold logits, other class
numbers or outputs in another order, it finds that and names the option that declares it; until then the verdict
stays."""
_EPILOG = """examples:
  mmkeras verify model.tflite --reference model.keras --data test.csv --target label
  mmkeras verify model.onnx --reference saved_model/ --data test.csv --map image=path --target label \\
      --slices camera --max-flips 0.5 --max-metric-drop 0.5 --junit verify.xml
  mmkeras verify int8.tflite --reference model.onnx --data test.csv --reference-input image=scale=imagenet
  mmkeras verify late.onnx --reference late.keras --data rows.parquet --map image=photo numbers=age,height,weight \\
      --missing image numbers=-1

An input is given a picture (a path), numbers, a .npy file or a JSON list. SPEC declares how a picture is given, as
key=value,key=value or as a TOML or JSON file:
  size=224x224        height and width; by default those of the input
  resize=stretch      or letterbox (bars of the grey level fill=0), center_crop
  colours=rgb         or bgr, grey
  scale=0..1          or 0..255, -1..1, imagenet (mean and deviation), caffe; or mean=0.5/0.5/0.5,std=0.2/0.2/0.2
  layout=nhwc         or nchw; by default from the shape
A JSON file may also be a modality of a bundle's manifest.json: a text with its vocabulary, for inputs of token ids.

exit status: 0 accepted; 1 not accepted, or a file or the table cannot be used; 2 the command line is wrong"""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the tables, write the reports and return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        given = vars(_parser().parse_args(words))
        return _run(given)
    except MmkerasError as error:
        say(f"mmkeras verify: {error}", to=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except OSError as error:  # a file that may not be read, a full disk
        say(f"mmkeras verify: {error.filename or ''}: {error.strerror or error}", to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("mmkeras verify: interrupted; nothing was written", to=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from mmkeras.runtime.options import Parser

    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("mmkeras verify", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw, allow_abbrev=False)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help=".tflite, .onnx, .keras, a SavedModel's folder, or a TensorRT engine")
    add("--reference", type=Path, required=True, metavar="FILE", help="what it is held to, in any of these formats")
    add("--data", type=Path, required=True, metavar="TABLE", help=".csv, .tsv, .jsonl or .parquet, a row per sample")
    several: dict[str, Any] = {"action": "extend", "nargs": "+", "default": []}
    data = parser.add_argument_group("data")
    add = data.add_argument
    add("--map", **several, metavar="INPUT=COLUMN", help="column of an input; several columns for a row of numbers")
    add("--root", type=Path, metavar="DIR", help="folder that paths in the table start from (the table's)")
    add("--rows", type=int, default=1000, metavar="N", help="most rows, at equal distances; 0 for all (%(default)s)")
    add("--max-bad-rows", type=float, default=1.0, metavar="PERCENT", help="share of rows that may be unusable (1)")
    add("--target", **several, metavar="COLUMN", help="column of the label, or of each number, for the metric")
    add("--labels", type=Path, metavar="FILE", help="names of the classes in the order of the output, one in a line")
    add("--task", default="", help="classification or regression, where it is not clear")
    add("--slices", **several, metavar="COLUMN", help="columns to slice by")
    add("--group", default="", metavar="COLUMN", help="rows that depend on each other (a patient), for the intervals")
    inputs = parser.add_argument_group("inputs and outputs")
    add = inputs.add_argument
    add("--input", **several, metavar="NAME=SPEC", help="how an input is given on both sides, see below")
    add("--file-input", **several, metavar="NAME=SPEC", help="the same for FILE alone")
    add("--reference-input", **several, metavar="NAME=SPEC", help="the same for the reference alone")
    add("--pair", **several, metavar="A=B", help="input or output A of FILE is B of the reference")
    add("--ignore", **several, metavar="NAME", help="outputs to leave out, or inputs that need not be read")
    add("--decision", default="", metavar="OUTPUT", help="output that decisions are read from")
    add("--activation", **several, metavar="SIDE=NAME", help="file=softmax, reference=sigmoid: that side gives logits")
    add("--background", default="", metavar="SIDE", help="file or reference: its class 0 is a background class")
    add("--signature", default="", metavar="NAME", help="signature of FILE, a SavedModel")
    add("--reference-signature", default="", metavar="NAME", help="signature of the reference")
    tests = parser.add_argument_group("scenarios")
    add = tests.add_argument
    add("--missing", **several, metavar="INPUT[=VALUE]", help="compare without an input: 0 or VALUE in its place; for "
        "a picture a grey level, 0..255")  # fmt: skip
    add("--corruptions", nargs="*", default=None, metavar="NAME", help="noise blur dark jpeg (all); none with no NAME")
    add("--no-latency", dest="latency", action="store_false", help="do not time the files")
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add("--max-metric-drop", type=float, metavar="POINTS", help="largest loss of the metric (0.5 for int8)")
    add(
        "--max-flips", type=float, metavar="PERCENT", help="largest share of changed decisions (0, 0.5, 2 by precision)"
    )
    add("--tolerance", type=float, help="largest relative difference (1e-5, with LiteRT 1e-4, for float32)")
    add("--max-latency-ratio", type=float, metavar="X", help="largest latency of FILE / reference (none)")
    add(
        "--precision",
        default="",
        help="limits of this precision (float16, int8, ...), not of the one found in the file; needed for an engine",
    )
    output = parser.add_argument_group("reports")
    output.add_argument("--out", type=Path, metavar="FILE.json", help="write the whole result")
    output.add_argument("--junit", type=Path, metavar="FILE.xml", help="write the checks for a CI system")
    return parser


def _run(given: dict[str, Any]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up messages
    from export.foreign.junit import write_junit
    from export.foreign.opening import open_model
    from export.foreign.options import Options
    from export.foreign.show import grids, lines
    from export.foreign.verify import verify
    from mmkeras.runtime.tables import show
    from mmkeras.storage.files import write_json

    started = time.monotonic()
    paths = {name: given.pop(name) for name in ("file", "reference")}
    names = {"file": given.pop("signature"), "reference": given.pop("reference_signature")}
    out, xml = given.pop("out"), given.pop("junit")
    for option, path in (("--out", out), ("--junit", xml)):
        if path is not None and path.is_dir():
            raise ConfigError(f"{option}: {path} is a folder; expected a file")
    if given["corruptions"] is None:
        del given["corruptions"]
    if given["rows"] < 0:
        raise ConfigError(f"--rows: expected 0 or more, got {given['rows']}")
    if not given["data"].is_file():
        raise ConfigError(f"--data: {given['data']}: no such file; expected a .csv, .tsv, .jsonl or .parquet table")
    options = Options(**given)
    show_progress("loading both files")
    with (
        warnings.catch_warnings(),
        open_model(paths["file"], names["file"]) as file,
        open_model(paths["reference"], names["reference"]) as reference,
    ):
        warnings.simplefilter("ignore")  # deprecation warnings of the engines
        report = verify(file, reference, options, show_progress)
        # While the files are open: a report reads their sizes.
        content = report.to_json()
    show(grids(report))
    for line in lines(report):
        say(line)
    try:
        if out is not None:
            write_json(out, content)
        if xml is not None:
            write_junit(xml, report, time.monotonic() - started)
    except OSError as error:
        raise ConfigError(f"{error.filename or out}: cannot be written: {error.strerror or error}") from error
    return 0 if report.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
