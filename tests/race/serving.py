"""A side of the race as a process that answers requests, so that two sides can take turns; imports nothing.

A request is a line of JSON, ``["name", {...}]``; the answer is a line of JSON on the standard output that the process
was started with. What libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["measured", "peak_gigabytes", "serve"]


def serve(make: Callable[..., Mapping[str, Callable[..., Any]]]) -> None:
    """Answer requests until the input ends, with the functions from ``make``, which takes the program's arguments."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    functions: Mapping[str, Callable[..., Any]] = {}
    for line in sys.stdin:
        try:
            functions = functions or make(*sys.argv[1:])
            name, options = json.loads(line)
            answer = {"answer": functions[name](**options)}
        except Exception:  # whatever a library raises is the answer
            answer = {"error": traceback.format_exc()[-4000:]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def measured(work: Callable[[], Any], times: int) -> dict[str, float]:
    """Return the milliseconds of one ``work``: ``cpu`` (user and system, all threads of the process) and ``wall``."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    return {
        "cpu": (time.process_time() - cpu) / times * 1e3,
        "wall": (time.perf_counter() - wall) / times * 1e3,
    }


def peak_gigabytes() -> float:
    """Return the largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
