"""The console script ``mmkeras``: runs, verifies, measures, compares and packs bundles without TensorFlow.

A command's modules are imported when it runs, so that the program starts quickly. For the same reason, and because the
options depend on the bundle, this uses argparse and no parser of dataclasses. `EPILOG` lists the exit statuses; a shell
shows 141 for every program whose output pipe was closed (``| head``).
"""

from __future__ import annotations

import contextlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras import __version__
from mmkeras.core.errors import ConfigError, MmkerasError, install_hint, nearest
from mmkeras.core.terminal import program, say
from mmkeras.runtime.options import EPILOG, Parser, build_parser
from mmkeras.runtime.verbs import TRAINING, run_training

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle

__all__ = ["COMMANDS", "EXIT_FAILED", "EXIT_OK", "EXIT_USAGE", "main"]

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
_PACKAGES = {"PIL": "pillow", "ai_edge_litert": "ai-edge-litert"}
COMMANDS = {
    "predict": "predict from raw inputs",
    "selftest": "run the golden samples on every accepted edge file and check the preprocessing",
    "benchmark": "time the edge files; the table also shows the results of their export",
    "inspect": "show the contents of the bundle and check every hash",
    "build-engine": "build a TensorRT engine from the bundle's ONNX file, on the device that runs it",
    "diff": "show what changed between two bundles",
    "pack": "pack the bundle into one file that runs and tests itself on a device",
    "sign": "sign a packed bundle",
    "index": "write an index of pictures, or of labels, by the vectors of a matching model",
    "search": "search an index by a text or a picture",
    "stream": "replay a drive to a camera and radar detector in real time, with faults on request",
}
_RUN = {
    **{name: f"mmkeras.runtime.commands:{name}" for name in ("predict", "selftest", "inspect")},
    "benchmark": "mmkeras.runtime.benchmark_command:run",
    "build-engine": "mmkeras.runtime.tensorrt.command:build",
    "diff": "mmkeras.runtime.differences.report:diff",
    "pack": "mmkeras.runtime.packing:pack",
    "sign": "mmkeras.runtime.packing:sign",
    "index": "mmkeras.runtime.shelf.command:index",
    "search": "mmkeras.runtime.shelf.command:search",
    "stream": "mmkeras.driving.stream.command:stream",
}


@program
def main(arguments: Sequence[str] | None = None, *, program: str = "mmkeras") -> int:
    """Run one command and return its exit status; every error is one message on stderr.

    ``program`` is the name of the program in usage lines: a packed bundle runs under another name.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(arguments, program)
    except MmkerasError as error:
        say(f"mmkeras: {error}", to=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    except ModuleNotFoundError as error:
        top = (error.name or "").split(".")[0]
        if not top or top == "mmkeras":
            raise
        name = _PACKAGES.get(top, top)
        say(f"mmkeras: {top} is not installed; this command needs it: pip install {name}", to=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("mmkeras: interrupted", to=sys.stderr)
        return EXIT_FAILED


def _run(arguments: list[str], program: str) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_overview(program))
        return EXIT_OK if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        say(f"mmkeras {__version__}")
        return EXIT_OK
    command, rest = arguments[0], arguments[1:]
    # A verb of both kinds works on a bundle if its first argument is one, and trains otherwise.
    trains = command not in COMMANDS or not _names_bundle(rest)
    if command in TRAINING and trains and program == "mmkeras":
        return run_training(command, rest)
    if command not in COMMANDS:
        known = {**COMMANDS, **TRAINING} if program == "mmkeras" else COMMANDS
        raise ConfigError(f"There is no command {command!r}; {nearest(command, known)}")
    bundle = _bundle(rest)
    if bundle is None and not {"-h", "--help"} & set(rest):
        raise ConfigError(f"mmkeras {command} needs a bundle first, for example: mmkeras {command} saved_models/vqa/1")
    with bundle or contextlib.nullcontext():
        return _command(command, bundle, rest, program)


def _command(command: str, bundle: Bundle | None, rest: list[str], program: str) -> int:
    parser = build_parser(command, COMMANDS[command], bundle, program)
    try:
        options, unknown = parser.parse_known_args(rest)
    except SystemExit as done:  # argparse has printed the help
        return int(done.code or 0)
    if unknown:
        valid = [name for action in parser._actions for name in action.option_strings]
        problems = [f"{u}: {nearest(u.split('=')[0], valid)}" for u in unknown if u.startswith("-")]
        raise ConfigError(f"Unknown option {'; '.join(problems)}" if problems else f"Unexpected {unknown}")
    status: int = pkgutil.resolve_name(_RUN[command])(bundle, options)
    return status


def _names_bundle(rest: list[str]) -> bool:
    first = rest[0] if rest else ""
    return first.endswith(".mmk") or Path(first).is_dir()


def _bundle(rest: list[str]) -> Bundle | None:
    """Open the bundle that the command line names; the command's options depend on it."""
    words = [word for word in rest if not word.startswith("-")]
    bundles = (word for word in words if word in rest[:1] or Path(word).is_dir() or word.endswith(".mmk"))
    path = next(bundles, None)
    if path is None:
        return None
    from mmkeras.bundle import Bundle

    bundle = Bundle.open(path, _key(rest))
    if bundle.place != Path(path):
        say(f"{path}: using version {bundle.place.name}, the newest one", to=sys.stderr)
    return bundle


def _key(rest: list[str]) -> str | None:
    """Return the value of ``--key``: the signature is checked before anything in the bundle is read."""
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--key")
    key: str | None = parser.parse_known_args(rest)[0].key
    return key


def _overview(program: str) -> str:
    bundle = " BUNDLE" if program == "mmkeras" else ""
    example = " saved_models/vqa/1" if bundle else ""
    about = "Trains, exports, runs and verifies models." if bundle else "Runs and verifies an exported model."
    lines = [f"usage: {program} COMMAND {'...' if bundle else '[options]'}", "", about, ""]
    if bundle:
        lines += [f"training ({install_hint('train,export')}):"]
        lines += [
            *(f"  {name:<12} {text}" for name, text in TRAINING.items()),
            "",
            "on any device (COMMAND BUNDLE [options]):",
        ]
    else:
        lines += ["commands:"]
    # A packed bundle cannot be packed again.
    lines += [f"  {name:<12} {text}" for name, text in COMMANDS.items() if bundle or name != "pack"]
    lines += [
        "",
        f"Options of a command:  {program} COMMAND{bundle} --help",
        f"For example:           {program} selftest{example}",
        "",
        EPILOG,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
