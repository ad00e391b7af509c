"""The console script ``mmkeras``: run, prove, measure, compare and pack bundles. No TensorFlow.

Exit status: 0 all is well; 1 a check failed, an input or the bundle cannot be used, or an engine is missing; 2 the
command line is wrong. Everything else a command needs is imported when it runs, so that an answer comes quickly; for
the same reason, and because the options depend on the bundle, this is argparse and not a parser of dataclasses.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mmkeras import __version__
from mmkeras.errors import ConfigError, MmkerasError, nearest

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle

__all__ = ["COMMANDS", "EXIT_FAILED", "EXIT_OK", "EXIT_USAGE", "main"]

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
_PACKAGES = {"PIL": "pillow", "ai_edge_litert": "ai-edge-litert"}
COMMANDS = {
    "predict": "answer a question from raw inputs",
    "selftest": "replay the golden samples on every accepted edge file and prove the preprocessing",
    "benchmark": "time the edge files, beside what the export proved of them",
    "inspect": "show what the bundle holds and check every hash",
    "build-engine": "build a TensorRT engine from the bundle's ONNX file, on the device that runs it",
    "diff": "show what changed between two bundles",
    "pack": "pack the bundle into one file that runs and tests itself on a device",
    "sign": "sign a packed bundle",
    "stream": "replay a drive to a camera and radar detector in real time, with faults on request",
}
"""Commands and what they do."""
_EPILOG = """exit status: 0 all is well; 1 a check failed, an input or the bundle cannot be used, or an engine is
missing; 2 the command line is wrong"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ConfigErrors."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. See: {self.prog} --help")


def main(arguments: Sequence[str] | None = None, *, program: str = "mmkeras") -> int:
    """Run one command and return its exit status; every error is one clear message on stderr.

    Args:
        arguments: the command line without the program's name; ``sys.argv[1:]`` when not given.
        program: how the user calls this, for usage lines; a packed bundle is a program of its own.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(arguments, program)
    except ConfigError as error:
        print(f"mmkeras: {error}", file=sys.stderr)
        return EXIT_USAGE
    except MmkerasError as error:
        print(f"mmkeras: {error}", file=sys.stderr)
        return EXIT_FAILED
    except ModuleNotFoundError as error:
        top = (error.name or "").split(".")[0]
        if not top or top == "mmkeras":
            raise
        name = _PACKAGES.get(top, top)
        print(f"mmkeras: {top} is not installed; this command needs it: pip install {name}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader of a pipe has gone (`mmkeras inspect ... | head`); nothing is wrong here.
        sys.stderr.close()
        return EXIT_OK
    except KeyboardInterrupt:
        print("mmkeras: interrupted", file=sys.stderr)
        return EXIT_FAILED


def _run(arguments: list[str], program: str) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(program))
        return EXIT_OK if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        print(f"mmkeras {__version__}")
        return EXIT_OK
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise ConfigError(f"There is no command {command!r}; {nearest(command, COMMANDS)}")
    bundle = _bundle(rest)
    if bundle is None and not {"-h", "--help"} & set(rest):
        raise ConfigError(f"mmkeras {command} needs a bundle first, for example: mmkeras {command} saved_models/vqa/1")
    with bundle or contextlib.nullcontext():
        return _command(command, bundle, rest, program)


def _command(command: str, bundle: Bundle | None, rest: list[str], program: str) -> int:
    parser = _parser(command, bundle, program)
    try:
        options, unknown = parser.parse_known_args(rest)
    except SystemExit as done:  # argparse has printed the help
        return int(done.code or 0)
    if unknown:
        valid = [name for action in parser._actions for name in action.option_strings]
        problems = [f"{u}: {nearest(u.split('=')[0], valid)}" for u in unknown if u.startswith("-")]
        raise ConfigError(f"Unknown option {'; '.join(problems)}" if problems else f"Unexpected {unknown}")
    from mmkeras.runtime import commands

    run: Any = getattr(commands, command.replace("-", "_"))
    status: int = run(bundle, options)
    return status


def _bundle(rest: list[str]) -> Bundle | None:
    """Open the bundle that the command line names, before its options are known: they depend on it."""
    if not rest:
        return None
    words = [word for word in rest if not word.startswith("-")]
    path = rest[0] if not rest[0].startswith("-") else next((w for w in words if _may_be_bundle(w)), None)
    if path is None:
        return None
    from mmkeras.bundle import Bundle

    bundle = Bundle.open(path, _key(rest))
    if bundle.place != Path(path):
        print(f"{path} has version {bundle.place.name} as its newest: using it", file=sys.stderr)
    return bundle


def _may_be_bundle(word: str) -> bool:
    return Path(word).is_dir() or word.endswith(".mmk")


def _key(rest: list[str]) -> str | None:
    """Return the value of ``--key``: a bundle is held to it before anything in it is read."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--key")
    key: str | None = parser.parse_known_args(rest)[0].key
    return key


def _parser(command: str, bundle: Bundle | None, program: str = "mmkeras") -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{program} {command}", description=COMMANDS[command], epilog=_EPILOG, allow_abbrev=False)
    add = parser.add_argument
    # A packed bundle that runs itself is not named on its own command line.
    about = "a bundle's folder, saved_models/<name> for its newest version, or a packed bundle (.mmk)"
    add("bundle", metavar="BUNDLE", help=about if program == "mmkeras" else argparse.SUPPRESS)
    add("--key", metavar="FILE", help="Ed25519 public key (PEM) that the packed bundle must be signed with")
    if command == "pack":
        from mmkeras.runtime.packing import add_pack_options

        add_pack_options(parser)
        return parser
    if command == "sign":
        from mmkeras.runtime.packing import add_sign_options

        add_sign_options(parser)
        return parser
    add("--json", action="store_true", help="print JSON instead of text for people")
    if command == "inspect":
        return parser
    if command == "build-engine":
        from mmkeras.runtime.tensorrt.command import add_options as add_build_options

        add("--precision", metavar="NAME", help="of the ONNX file to build from (default: the most exact one)")
        add("--out", metavar="FILE", help="engine to write (default: engines/<name>.<precision>.plan in the bundle)")
        add_build_options(parser)
        return parser
    add("--threads", type=int, default=1, metavar="N", help="threads of one inference (default: 1)")
    if command in ("predict", "selftest", "benchmark"):
        add(
            "--rebuild", action="store_true", help="first build the TensorRT engines again that were not built for here"
        )
    if command == "selftest":
        add("--strict", action="store_true", help="fail, too, when a file, preprocessing or scenario cannot be proven")
        return parser
    if command == "diff":
        from mmkeras.runtime.differences.command import add_options as add_diff_options

        add_diff_options(parser)
        return parser
    add("--format", metavar="NAME", help="tflite, onnx or tensorrt (default: see --precision)")
    add(
        "--precision",
        metavar="NAME",
        help="float32, float16 or int8-dynamic (default: the most exact one whose engine is installed)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu; ONNX Runtime also takes cuda and tensorrt")
    if command == "benchmark":
        from mmkeras.runtime.benchmark_command import add_options as add_benchmark_options

        add_benchmark_options(parser)
        return parser
    if command == "stream":
        from mmkeras.runtime.stream.command import add_options

        add_options(parser)
        return parser
    add(
        "--jsonl",
        metavar="FILE",
        help="answer every line of a file, or - for standard input: one JSON object per line, raw value by modality",
    )
    _add_modalities(parser, bundle)
    return parser


def _add_modalities(parser: argparse.ArgumentParser, bundle: Bundle | None) -> None:
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


def _overview(program: str) -> str:
    bundle = " BUNDLE" if program == "mmkeras" else ""
    example = " saved_models/vqa/1" if bundle else ""
    lines = [f"usage: {program} COMMAND{bundle} [options]", "", "Runs and proves exported models.", "", "commands:"]
    # What runs from a packed bundle is packed already.
    lines += [f"  {name:<12} {text}" for name, text in COMMANDS.items() if bundle or name != "pack"]
    lines += [
        "",
        f"Options of a command:  {program} COMMAND{bundle} --help",
        f"For example:           {program} selftest{example}",
        "",
        _EPILOG,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
