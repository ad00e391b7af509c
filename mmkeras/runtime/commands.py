"""The commands ``predict``, ``selftest`` and ``inspect``: each takes a bundle and options and returns a status."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, DataError, MmkerasError
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.runtime.predict_table import predict_table
from mmkeras.runtime.predictor import Predictor
from mmkeras.storage.files import write_bytes
from mmkeras.storage.privacy import Redaction, recorded
from mmkeras.storage.text_lines import JsonLine, json_lines

__all__ = ["inspect", "predict", "rebuild_engines", "selftest"]


def predict(bundle: Bundle, options: argparse.Namespace) -> int:
    """Predict for one sample from the options, or for every line of a JSONL file, or every row of a table."""
    given = {name: value for name in bundle.specs if (value := getattr(options, f"modality:{name}")) is not None}
    given |= {name: _typed(value) for name, value in given.items() if bundle.specs[name].kind == "text"}
    if sum((bool(given), options.jsonl is not None, options.table is not None)) != 1:
        names = ", ".join(f"--{name}" for name in bundle.specs)
        raise ConfigError(f"predict: give one of these: modalities ({names}), --jsonl, or --table with --out")
    if options.overlay and not given:
        raise ConfigError("predict: --overlay draws the answer to one sample; give its modalities")
    if options.overlay and not options.overlay.lower().endswith(".png"):
        raise ConfigError(f"--overlay {options.overlay}: expected a file that ends with .png")
    for option in ("out", "root", "map", "missing") if options.table is None else ():
        if getattr(options, option):
            raise ConfigError(f"predict: --{option} belongs to --table, which is not given")
    rebuild_engines(bundle, options)
    chosen = bundle, options.format, options.precision
    with Predictor(*chosen, threads=options.threads, device=options.device) as predictor:
        say(predictor.description, to=sys.stderr)
        if options.jsonl is not None:
            return _predict_lines(predictor, options.jsonl)
        if options.table is not None:
            return predict_table(predictor, options, _redaction(bundle))
        try:
            answer = predictor.predict(**given)
            if options.overlay:
                _draw(predictor, given, answer, Path(options.overlay))
        except DataError as error:
            raise DataError(_redaction(bundle).about(str(error), given.values())) from None
    missing = [name for name in bundle.specs if name not in given]
    if missing:
        say(f"predicted without {', '.join(missing)}", to=sys.stderr)
    if options.json:
        say_json(answer)
    else:
        say("\n".join(_lines(answer)))
    return 0


def _draw(predictor: Predictor, given: dict[str, Any], answer: dict[str, Any], path: Path) -> None:
    """Write an answer over its picture as PNG."""
    bundle = predictor.bundle
    drawn = bundle.task.overlay(bundle.specs, given, answer)
    if drawn is None:
        raise ConfigError(f"--overlay: answers of the task {bundle.task.kind} are not drawn over a picture")
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    write_bytes(path, stream.getvalue())
    say(f"wrote {path}", to=sys.stderr)


def selftest(bundle: Bundle, options: argparse.Namespace) -> int:
    """Run the self-test; the status is 1 when a check failed or no file could be run."""
    from mmkeras.runtime.selftest import selftest as run

    rebuild_engines(bundle, options)
    result = run(bundle, threads=options.threads, progress=show_progress)
    passed = result.passed and not (options.strict and result.skipped)
    if options.json:
        say_json({**result.to_json(), "passed": passed}, indent=2)
        return 0 if passed else 1
    from mmkeras.runtime import tables

    tables.show(tables.selftest_tables(bundle, result))
    counts = {v: sum(f.verdict == v for f in result.files) for v in ("passed", "failed", "skipped", "rejected")}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    say(f"selftest {'passed' if passed else 'FAILED'}: {summary or 'no files'}")
    if result.skipped:
        say(f"not checked here: {', '.join(result.skipped)}")
    if not result.passed and not counts["failed"] and not counts["passed"]:
        say("No file could be run: install an engine, for example pip install 'mmkeras[litert]' or ai-edge-litert")
    return 0 if passed else 1


def inspect(bundle: Bundle, options: argparse.Namespace) -> int:
    """Show the bundle and check every hash; the status is 1 when a file is missing or altered."""
    problems = bundle.verify()
    if options.json:
        signature = bundle.packed.archive.signature if bundle.packed else None
        value = {
            "folder": str(bundle.place),
            "packed": bundle.packed is not None,
            "signed_by": signature.public_key if signature else None,
            **dataclasses.asdict(bundle.manifest),
            "problems": problems,
        }
        say_json(value, indent=2)
        return 1 if problems else 0
    from mmkeras.runtime import tables

    tables.show(tables.inspect_tables(bundle, problems))
    for problem in problems.values():
        say(f"mmkeras: {problem}", to=sys.stderr)
    say("every hash is as exported" if not problems else f"{len(problems)} files are missing or altered")
    return 1 if problems else 0


def rebuild_engines(bundle: Bundle, options: argparse.Namespace) -> None:
    """With ``--rebuild``, build the TensorRT engines again that do not fit this machine or this bundle."""
    if not options.rebuild:
        return
    from mmkeras.runtime.tensorrt.building import rebuild_stale

    for engine in rebuild_stale(bundle, show_progress):
        say(f"built {engine}", to=sys.stderr)


def _predict_lines(predictor: Predictor, source: str) -> int:
    """Print one JSON answer per line. A line without an answer gives an ``error``, and status 1 at the end."""
    failed, redaction = 0, _redaction(predictor.bundle)
    for line in _read_lines(source):
        values = line.value
        try:
            if line.problem:
                raise DataError(line.problem)
            if not isinstance(values, dict):
                raise DataError(f"expected an object with a value by modality, got {json.dumps(values)[:60]!r}")
            answer = predictor.predict(**values)
        except (ValueError, MmkerasError) as error:
            failed += 1
            message = redaction.about(str(error), values.values() if isinstance(values, dict) else ())
            answer = {"line": line.number, "error": message}
            say(f"mmkeras: {source}:{line.number}: {message}", to=sys.stderr)
        say_json(answer, flush=source == "-")
    return 1 if failed else 0


def _redaction(bundle: Bundle) -> Redaction:
    """Return the ``privacy.redact`` setting of the run that made a bundle."""
    return recorded(bundle.manifest.provenance) or Redaction()


def _read_lines(source: str) -> Iterator[JsonLine]:
    """Yield the lines of a file or of standard input, read as training reads a JSONL table."""
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            yield from json_lines(file)
    except (OSError, DataError) as error:
        raise DataError(f"--jsonl {source} cannot be read: {error}") from error


def _typed(argument: str) -> str:
    """Return a text from the command line; bytes that the locale could not decode are read as UTF-8."""
    try:
        return argument if argument.isascii() else argument.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        return argument


def _lines(answer: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of an answer: plain values first, then lists."""
    plain = {key: value for key, value in answer.items() if not isinstance(value, list)}
    yield indent + "  ".join(f"{key}: {_short(value)}" for key, value in plain.items())
    for key, value in answer.items():
        if isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:
                yield from _lines(item, indent + "  ") if isinstance(item, dict) else [f"{indent}  {_short(item)}"]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
