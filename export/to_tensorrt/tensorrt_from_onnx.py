"""A TensorRT engine from an ONNX file, on the device that runs it: ``python -m export.tensorrt_from_onnx FILE.onnx``.

Needs numpy and TensorRT, not TensorFlow. For a bundle use ``mmkeras build-engine BUNDLE``, which also checks the file's
hash and puts the engine where the self-test finds it.

Example:
    python -m export.tensorrt_from_onnx saved_models/vqa/1/edge/vqa.float16.onnx --batch 1:4:8
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, show_progress, utf8_program
from mmkeras.runtime.tensorrt.command import add_options, options_of, report
from mmkeras.runtime.tensorrt.compiling import Job, compile_engine
from mmkeras.runtime.tensorrt.engines import SUFFIX

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Build one engine and return the exit status: 0 for success, 1 for a failed build, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        "python -m export.tensorrt_from_onnx", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("onnx", type=Path, metavar="FILE.onnx", help="an exported ONNX file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="engine to write (default: beside, with .plan)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text for people")
    add_options(parser)
    given = parser.parse_args(arguments)
    engine = given.out or given.onnx.with_suffix(SUFFIX)
    cache = Path(given.timing_cache) if given.timing_cache else engine.parent / "timing.cache"
    try:
        job = Job(given.onnx, engine, library=given.library, timing_cache=cache, options=options_of(given))
        built = compile_engine(job, show_progress)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    report(engine, built, as_json=given.json)
    return 0
