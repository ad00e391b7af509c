"""The process that reads damaged files: it has little memory, and may die without harm to the count.

One line of JSON asks for a block of inputs, one line answers. Before each input its number is written into a file, so
that the one that killed the process is known.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import struct
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from tests.fuzz.limits import limited
from tests.fuzz.outcome import outcome
from tests.fuzz.reader import find_readers
from tests.fuzz.sample import Sample

__all__ = ["main"]


def main() -> None:
    """Answer requests until there are no more."""
    folder, memory = Path(sys.argv[1]), int(sys.argv[2])
    # TensorFlow writes to both streams; answers go through a copy of the first.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    samples: dict[str, Sample] = {}
    with (folder / "now").open("r+b", buffering=0) as now:
        for line in sys.stdin:
            request = json.loads(line)
            name = request["reader"]
            if name not in samples:
                samples[name] = Sample(find_readers((name,), sys.argv[3])[name], folder / name)
                samples[name].read_valid()
            answer = _block(samples[name], request, memory, now.fileno())
            print(json.dumps(answer), file=answers, flush=True)


def _block(sample: Sample, request: dict[str, Any], memory: int, now: int) -> dict[str, Any]:
    counts = {"read": 0, "refused": 0, "foreign": 0, "memory": 0}
    failures, slowest = [], 0.0
    began = time.monotonic()
    with limited(memory):
        for number in range(request["first"], request["first"] + request["count"]):
            os.pwrite(now, struct.pack("<q", number), 0)
            files = sample.damage(request["seed"], number)
            path = sample.put(files)
            start = time.monotonic()
            found = outcome(sample.reader, path)
            slowest = max(slowest, time.monotonic() - start)
            sample.restore(files)
            counts[found.kind] += 1
            if found.said:
                failures.append({"number": number, "kind": found.kind, "said": found.said})
            if found.kind == "memory":
                gc.collect()
    return {**counts, "failures": failures, "slowest": slowest, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    main()
