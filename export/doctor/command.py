"""``python -m export doctor RUN``: before a long training, how each target converts every layer, and how to fix it.

Example:
    python -m export doctor vqa --model.width 96
    python -m export doctor runs/vqa/latest --target tflite onnx tensorrt --verbose --out doctor.json
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from export.doctor.examine import TARGETS
from export.to_tensorrt.rules import VERSIONS
from mmkeras.core.errors import ConfigError, MmkerasError, nearest
from mmkeras.core.terminal import say, utf8_program
from mmkeras.layers.keras_settings import check_keras

__all__ = ["main"]

_DESCRIPTION = (
    "How each target converts every Keras layer, and the rewrite for what it does not support. The model is really "
    "converted. It needs no training; the model of a pipeline needs no data either."
)
_STATUS = (
    "Exit status: 0 when every target supports the model, 1 when one does not (with --strict also for warnings, such "
    "as float islands and wide ranges, which cost speed or accuracy), 2 when nothing could be examined."
)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Examine a model, print the tables and return the exit status.

    It is 0 when every target supports the model, 1 when one does not, 2 when nothing could be examined, 130 when
    interrupted.
    """
    parser = argparse.ArgumentParser(
        "python -m export doctor", description=_DESCRIPTION, epilog=_STATUS, allow_abbrev=False
    )
    add = parser.add_argument
    add(
        "run",
        metavar="RUN",
        help="the first argument: a run (trained or not), a bundle, a .keras file, or a pipeline's name (vqa), which "
        "also takes --config FILE and dotted options such as --model.width 32",
    )
    add("--target", nargs="+", default=list(TARGETS), metavar="TARGET", help=f"some of {', '.join(TARGETS)} (all)")
    add("--tensorrt", nargs="+", default=list(VERSIONS), metavar="VERSION", help="versions to check for (8.6 10)")
    add("--verbose", action="store_true", help="a row for every layer")
    add("--strict", action="store_true", help="exit status 1 also for warnings")
    add("--out", type=Path, metavar="FILE", help="write the findings and every layer's operations as JSON")
    add(
        "--import",
        nargs="+",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="modules that register layers",
    )
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
            raise ConfigError(f"{words[0]}: expected RUN first, as in: python -m export doctor vqa --target tflite")
        given, rest = parser.parse_known_args(words)
        _check(given)
        check_keras()
        return _run(given, rest)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("\nInterrupted; nothing was written.", to=sys.stderr)
        return 130


def _check(given: argparse.Namespace) -> None:
    for option, values, known in (("target", given.target, TARGETS), ("tensorrt", given.tensorrt, tuple(VERSIONS))):
        for value in values:
            if value not in known:
                raise ConfigError(f"--{option}: {value!r} is unknown; {nearest(value, known)}")
    if given.out is not None and given.out.is_dir():
        raise ConfigError(f"--out: {given.out} is a folder: expected a file such as {given.out / 'doctor.json'}")


def _run(given: argparse.Namespace, options: Sequence[str]) -> int:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from export.doctor.examine import examine
    from mmkeras.core.console import Console
    from mmkeras.runtime.tables import show
    from mmkeras.storage.files import write_json

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up messages
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings of converters
        bar = progress.add_task("starting TensorFlow", total=None)
        report = examine(
            given.run,
            options,
            targets=[target for target in TARGETS if target in given.target],
            versions=[version for version in VERSIONS if version in given.tensorrt],
            modules=given.modules,
            say=lambda text: progress.update(bar, description=text),
        )
    show(report.tables(verbose=given.verbose))
    for line in report.summary():
        say(line)
    if given.out is not None:
        try:
            write_json(given.out, report.to_json())
        except OSError as error:
            raise ConfigError(f"--out: {given.out} cannot be written: {error.strerror or error}") from error
        say(f"written: {given.out}")
    return int(bool(report.errors or (given.strict and report.warnings)))
