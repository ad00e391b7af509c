"""Latency by stage and what was answered how."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np

from mmkeras.driving.stream.messages import STAGES, Answer

__all__ = ["Statistics"]


class Statistics:
    """Counts every answer and keeps the last ``keep`` latencies per stage, so that memory stays bounded."""

    def __init__(self, keep: int = 100_000) -> None:
        self.kinds: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.missed = 0
        """Answers after their deadline."""
        self._stages: dict[str, deque[float]] = {name: deque(maxlen=keep) for name in STAGES}

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        self.kinds[answer.kind] += 1
        self.causes[answer.cause] += 1
        self.missed += answer.missed
        if answer.reason:
            self.reasons[answer.reason] += 1
        for name, value in answer.stages.items():
            self._stages[name].append(value)

    @property
    def answered(self) -> int:
        """Answers by an inference."""
        return sum(self.kinds[kind] for kind in ("both", "camera only", "radar only"))

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """Return p50, p99, mean and max in milliseconds by stage; nothing before the first answer."""
        result = {}
        for name, values in self._stages.items():
            if values:
                array = np.array(values) / 1e3
                figures = {"p50": np.percentile(array, 50), "p99": np.percentile(array, 99)}
                figures |= {"mean": array.mean(), "max": array.max()}
                result[name] = {key: round(float(value), 4) for key, value in figures.items()}
        return result

    def share_beyond_interpreter(self) -> float | None:
        """Return the median share of an answer's work outside the engine's call; None before the first answer.

        The work does not include the wait for a late sensor or for its turn.
        """
        total, wait, inference = (np.array(self._stages[name]) for name in ("total", "wait", "inference"))
        work = total - wait
        if not len(work) or work.sum() <= 0:
            return None
        return round(float(np.median(1 - inference / np.maximum(work, 1e-9))), 4)

    def to_json(self) -> dict[str, Any]:
        """Return the counts and latencies as ``stream.json`` holds them."""
        return {
            "frames": sum(self.causes.values()),
            "frames_received": self.causes["frame"],
            "ticks": self.causes["tick"],
            "answered": self.answered,
            "dropped": self.kinds["skipped"],
            "blind": self.kinds["blind"],
            "kinds": {kind: self.kinds[kind] for kind in ("both", "camera only", "radar only", "skipped", "blind")},
            "reasons": dict(sorted(self.reasons.items())),
            "deadline_missed": self.missed,
            "latency_ms": self.latency_ms(),
            "share_beyond_interpreter": self.share_beyond_interpreter(),
        }
