"""Many threads ask one runner, and every answer is compared with the one that a single thread got."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["TOLERANCE", "Load", "distinct", "same", "under_load"]

TOLERANCE = 1e-5
"""Largest difference of two numbers that still are the same answer."""
_APART = 100 * TOLERANCE
"""Answers that are closer than this could not be told apart for certain."""
_FEWEST = 4
"""Requests with different answers that a measurement needs."""
_PATIENCE = 120.0
"""Seconds without an answer from any thread after which they count as hanging."""

Answer = Callable[[Mapping[str, Any]], Any]


@dataclass
class Load:
    """What the threads got."""

    answers: int = 0
    """Answers, the wrong ones among them."""
    wrong: int = 0
    """Answers that are not those of their request."""
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    """Exceptions in place of an answer, and threads that hang; every request can be answered."""
    seconds: float = 0.0
    """From the first request to the last answer."""

    @property
    def faults(self) -> int:
        """Wrong answers and errors."""
        return self.wrong + self.errors.total()


def distinct(answer: Answer, requests: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Any]]:
    """Return the requests whose answers can be told apart, with their answers, asked by one thread.

    Raises:
        DataError: there are too few of them for a swapped answer to be noticed.
    """
    kept: list[tuple[Mapping[str, Any], Any]] = []
    for request in requests:
        got = answer(request)
        if not same(got, answer(request)):
            raise DataError("Expected the same answer to the same request from one thread, got another one.")
        if not any(same(got, other, _APART) for _, other in kept):
            kept.append((request, got))
    if len(kept) < _FEWEST:
        raise DataError(
            f"Expected golden samples with at least {_FEWEST} different answers, got {len(kept)} of {len(requests)}: "
            "an answer of another request could not be noticed. Use another bundle."
        )
    return kept


def same(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:
    """Return whether two answers agree: numbers within the tolerance, everything else exactly."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key], tolerance) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        return one.shape == other.shape and bool(np.all(np.abs(one.astype(float) - other) <= tolerance))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(one - other) <= tolerance
    return bool(one == other)


def under_load(
    answer: Answer,
    expected: Sequence[tuple[Mapping[str, Any], Any]],
    *,
    threads: int,
    answers: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Load:
    """Let threads ask at once, each in an order of its own.

    Args:
        answer: answers one request; shared by the threads.
        expected: requests with their answers.
        threads: how many ask.
        answers: requests in all.
        seed: of the orders.
        progress: called with the number of requests that are done.
    """
    shares = [answers // threads + (number < answers % threads) for number in range(threads)]
    loads = [Load() for _ in range(threads)]
    start = threading.Barrier(threads + 1)

    def ask(number: int) -> None:
        load = loads[number]
        order = np.random.default_rng((seed, number)).integers(0, len(expected), shares[number])
        start.wait()
        for position in order:
            request, right = expected[position]
            try:
                got = answer(request)
            except BaseException as error:  # anything that is no answer is a fault
                load.errors[f"{type(error).__name__}: {str(error).strip()[:160]}"] += 1
                continue
            load.answers += 1
            load.wrong += not same(right, got)

    workers = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    done, moved = 0, time.monotonic()
    while alive := [worker for worker in workers if worker.is_alive()]:
        alive[0].join(0.2)
        now = sum(load.answers + load.errors.total() for load in loads)
        if now != done:
            done, moved = now, time.monotonic()
            progress(done)
        elif time.monotonic() - moved > _PATIENCE:
            loads[0].errors[f"no answer for {_PATIENCE:.0f} s"] += len(alive)
            break
    total = Load(seconds=time.perf_counter() - began)
    for load in loads:
        total.answers += load.answers
        total.wrong += load.wrong
        total.errors += load.errors
    return total
