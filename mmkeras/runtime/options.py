"""The options of each command of the console script; those of ``predict`` depend on the bundle."""

from __future__ import annotations

import argparse
import pkgutil
from typing import TYPE_CHECKING, Any, NoReturn

from mmkeras.core.errors import ConfigError

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle

__all__ = ["EPILOG", "OPTIONS", "Parser", "build_parser"]

EPILOG = """exit status: 0 success; 1 a check failed, an input or the bundle cannot be used, or an engine is missing;
2 the command line is wrong; 141 the reader of the output pipe has closed it"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ConfigErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        raise ConfigError(f"{message}. See: {self.prog} --help")


def build_parser(command: str, description: str, bundle: Bundle | None, program: str) -> argparse.ArgumentParser:
    """Return the parser of one command.

    The options of ``predict`` include the modalities of the bundle. ``program`` is the name of the program in usage
    lines.
    """
    parser = Parser(prog=f"{program} {command}", description=description, epilog=EPILOG, allow_abbrev=False)
    # The command line of a packed bundle that runs itself does not name the bundle.
    about = "a bundle's folder, saved_models/<name> for its newest version, or a packed bundle (.mmk)"
    parser.add_argument("bundle", metavar="BUNDLE", help=about if program == "mmkeras" else argparse.SUPPRESS)
    about = "Ed25519 public key (PEM) of the key that must have signed the packed bundle"
    parser.add_argument("--key", metavar="FILE", help=about)
    for name in OPTIONS[command]:
        if name in _OPTIONS:
            parser.add_argument(name, **_OPTIONS[name])
        else:
            pkgutil.resolve_name(name)(parser)
    if command == "predict":
        _modalities(parser, bundle)
    return parser


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


_OPTIONS: dict[str, dict[str, Any]] = {
    "--json": {"action": "store_true", "help": "print JSON instead of text"},
    "--threads": {"type": int, "default": 1, "metavar": "N", "help": "threads of one inference (default: 1)"},
    "--rebuild": {
        "action": "store_true",
        "help": "first rebuild the TensorRT engines that do not fit this machine or this bundle",
    },
    "--strict": {
        "action": "store_true",
        "help": "also fail when a file, preprocessing or scenario cannot be checked",
    },
    "--format": {"metavar": "NAME", "help": "tflite, onnx or tensorrt (default: see --precision)"},
    "--precision": {
        "metavar": "NAME",
        "help": "float32, float16, int8-dynamic, int8, ... (default: the most exact one whose engine is installed)",
    },
    "--device": {"default": "cpu", "metavar": "NAME", "help": "cpu; ONNX Runtime also takes cuda and tensorrt"},
    "--overlay": {
        "metavar": "FILE",
        "help": "also draw the answer to one sample over its picture (.png); for answers that are masks",
    },
    "--jsonl": {
        "metavar": "FILE",
        "help": "predict for every line of a file (-: standard input), a JSON object with raw values by modality",
    },
}
"""Arguments of `argparse` for the options that several commands share, and for those of predict and selftest."""

_FILE = ("--format", "--precision", "--device")
OPTIONS: dict[str, tuple[str, ...]] = {
    "predict": (
        *("--json", "--threads", "--rebuild", *_FILE, "--overlay", "--jsonl"),
        "mmkeras.runtime.predict_table:add_options",
    ),
    "selftest": ("--json", "--threads", "--rebuild", "--strict"),
    "benchmark": ("--json", "--threads", "--rebuild", *_FILE, "mmkeras.runtime.benchmark_command:add_options"),
    "inspect": ("--json",),
    "build-engine": ("--json", "mmkeras.runtime.tensorrt.command:add_command_options"),
    "diff": ("--json", "--threads", "mmkeras.runtime.differences.report:add_options"),
    "pack": ("mmkeras.runtime.packing:add_pack_options",),
    "sign": ("mmkeras.runtime.packing:add_sign_options",),
    "index": ("--threads", *_FILE, "mmkeras.runtime.shelf.command:add_index_options"),
    "search": ("--json", "--threads", *_FILE, "mmkeras.runtime.shelf.command:add_search_options"),
    "stream": ("--json", "--threads", *_FILE, "mmkeras.driving.stream.command:add_options"),
}
"""Options of each command in the order of its help; a function of another module is imported when it is needed."""
