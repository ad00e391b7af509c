"""Which options each command of the console script takes; some of them depend on the bundle that it is given."""

from __future__ import annotations

import argparse
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from mmkeras.core.errors import ConfigError

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle

__all__ = ["EPILOG", "OPTIONS", "Parser", "build_parser"]

EPILOG = """exit status: 0 all is well; 1 a check failed, an input or the bundle cannot be used, or an engine is
missing; 2 the command line is wrong; 141 the reader of a pipe has gone"""
Adder = Callable[[argparse.ArgumentParser], None]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ConfigErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        raise ConfigError(f"{message}. See: {self.prog} --help")


def build_parser(command: str, description: str, bundle: Bundle | None, program: str) -> argparse.ArgumentParser:
    """Return the parser of one command.

    ``predict`` takes the modalities of the bundle; without a bundle its help says to name one. ``program`` is how the
    user calls this.
    """
    parser = Parser(prog=f"{program} {command}", description=description, epilog=EPILOG, allow_abbrev=False)
    # A packed bundle that runs itself is not named on its own command line.
    about = "a bundle's folder, saved_models/<name> for its newest version, or a packed bundle (.mmk)"
    parser.add_argument("bundle", metavar="BUNDLE", help=about if program == "mmkeras" else argparse.SUPPRESS)
    parser.add_argument(
        "--key", metavar="FILE", help="Ed25519 public key (PEM) that the packed bundle must be signed with"
    )
    for add in OPTIONS[command]:
        adder: Adder = pkgutil.resolve_name(add) if isinstance(add, str) else add
        adder(parser)
    if command == "predict":
        _modalities(parser, bundle)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text for people")


def _threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of one inference (default: 1)")


def _rebuild(parser: argparse.ArgumentParser) -> None:
    about = "first build the TensorRT engines again that were not built for here"
    parser.add_argument("--rebuild", action="store_true", help=about)


def _strict(parser: argparse.ArgumentParser) -> None:
    about = "fail, too, when a file, preprocessing or scenario cannot be proven"
    parser.add_argument("--strict", action="store_true", help=about)


def _file(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--format", metavar="NAME", help="tflite, onnx or tensorrt (default: see --precision)")
    add(
        "--precision",
        metavar="NAME",
        help="float32, float16, int8-dynamic, int8, ... (default: the most exact one whose engine is installed)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu; ONNX Runtime also takes cuda and tensorrt")


def _lines(parser: argparse.ArgumentParser) -> None:
    about = "answer every line of a file, or - for standard input: one JSON object per line, raw value by modality"
    parser.add_argument("--jsonl", metavar="FILE", help=about)


def _engine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--precision", metavar="NAME", help="of the ONNX file to build from (default: the most exact one)")
    add("--out", metavar="FILE", help="engine to write (default: engines/<name>.<precision>.plan in the bundle)")


def _modalities(parser: argparse.ArgumentParser, bundle: Bundle | None) -> None:
    if bundle is None:
        parser.add_argument_group("modalities", "Name a bundle to see its modalities as options.")
        return
    group = parser.add_argument_group(
        "modalities of this bundle", "Give at least one; a modality that is not given counts as missing."
    )
    taken = {name for action in parser._actions for name in action.option_strings}
    for name, spec in bundle.specs.items():
        flag = f"--{name}" if f"--{name}" not in taken else f"--modality-{name}"
        tensors = ", ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in spec.tensors)
        group.add_argument(flag, dest=f"modality:{name}", metavar=spec.kind.upper(), help=f"becomes {tensors}")


OPTIONS: dict[str, tuple[Adder | str, ...]] = {
    "predict": (_json, _threads, _rebuild, _file, _lines),
    "selftest": (_json, _threads, _rebuild, _strict),
    "benchmark": (_json, _threads, _rebuild, _file, "mmkeras.runtime.benchmark_command:add_options"),
    "inspect": (_json,),
    "build-engine": (_json, _engine, "mmkeras.runtime.tensorrt.command:add_options"),
    "diff": (_json, _threads, "mmkeras.runtime.differences.report:add_options"),
    "pack": ("mmkeras.runtime.packing:add_pack_options",),
    "sign": ("mmkeras.runtime.packing:add_sign_options",),
    "stream": (_json, _threads, _file, "mmkeras.driving.stream.command:add_options"),
}
"""Options of each command, in the order of its help; those of another module are imported when needed."""
