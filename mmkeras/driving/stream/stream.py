"""A vehicle's sensor stream: messages in, an answer to every frame out, also while sensors fail.

The stream starts no thread and never sleeps: its caller pushes the messages, calls `next_due` for the next moment with
work, and polls. All methods are thread-safe; one thread polls at a time.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

import numpy as np

from mmkeras.driving.stream.answering import Answerer, Job
from mmkeras.driving.stream.clock import Clock
from mmkeras.driving.stream.detector import Detector
from mmkeras.driving.stream.intake import Intake
from mmkeras.driving.stream.messages import STAGES, Answer, Message
from mmkeras.driving.stream.settings import Settings
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["SensorStream", "Statistics"]


class Statistics:
    """Counts every answer; keeps only the last ``keep`` latencies per stage, so that memory stays bounded."""

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
        """Return p50, p99, mean and max in milliseconds by stage; {} before the first answer."""
        result = {}
        for name, values in self._stages.items():
            if values:
                array = np.array(values) / 1e3
                figures = {"p50": np.percentile(array, 50), "p99": np.percentile(array, 99)}
                figures |= {"mean": array.mean(), "max": array.max()}
                result[name] = {key: round(float(value), 4) for key, value in figures.items()}
        return result

    def share_beyond_interpreter(self) -> float | None:
        """Return the median share of an answer's work, without waiting, outside the engine; None before any answer."""
        total, wait, inference = (np.array(self._stages[name]) for name in ("total", "wait", "inference"))
        work = total - wait
        if not len(work) or work.sum() <= 0:
            return None
        return round(float(np.median(1 - inference / np.maximum(work, 1e-9))), 4)

    def to_json(self) -> dict[str, Any]:
        """Return the counts and latencies of ``stream.json``."""
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


_GRACE = 0.5
"""Share of a period by which a frame may be late before its tick is answered without it."""
_UNREAD = 1000
"""Most answers for skipped frames kept until the next poll."""


class SensorStream:
    """Pairs frames with sweeps and answers with the available sensors.

    Every frame pushed gets one answer, except repeated frames, which are only counted. A frame that does not fit into
    the queue gets the previous detections (``skipped``). While no frames come, ticks at their rate are answered with
    the radar alone; without any sensor they are ``blind``.

    Example:
        >>> stream = SensorStream(BundleDetector(predictor), RealClock())
        >>> stream.push(frame)
        >>> for answer in stream.poll():
        ...     print(answer.kind, answer.detections)
    """

    def __init__(self, detector: Detector, clock: Clock, settings: Settings | None = None) -> None:
        self.detector = detector
        self.clock = clock
        self.settings = settings or Settings()
        self.statistics = Statistics()
        self.start = clock.now()
        self.intake = Intake(self.settings, self.start, detector.camera_pose)
        self._answerer = Answerer(detector, clock)
        self._queue: deque[Job] = deque()
        self._skipped: deque[Answer] = deque(maxlen=_UNREAD)
        self._slot: int | None = None
        self._end: int | None = None
        # A deadline is real time, also in a faster replay.
        self._deadline = int(self.settings.deadline * clock.rate)
        self._lock = threading.Lock()
        # Separate from the other lock, so that messages are received while the model runs.
        self._polls = threading.Lock()

    def push(self, message: Message, arrived: int | None = None) -> None:
        """Take a frame or sweep in, and return at once; ``arrived`` on the stream's clock defaults to now."""
        with self._lock:
            arrived = self.clock.now() if arrived is None else arrived
            if self._slot is None:
                self._slot = arrived + self.settings.frame_period
            # Ticks that became due during an inference are answered, too.
            self._tick(arrived)
            if isinstance(message, Sweep):
                self.intake.take_sweep(message, arrived)
                return
            reason = self.intake.take_frame(message, arrived)
            if reason == "duplicate":
                return
            job = Job(message.timestamp, "frame", arrived, message, not reason, reason, message.ego, message.camera)
            if reason == "order":
                self._skip(job, "order")
                return
            if reason == "time":
                # Its time cannot be used: it only triggers an answer at the current time.
                job.timestamp = self.intake.frame_time(arrived)
                job.ego = None
            self._slot = arrived + self.intake.camera.period
            self._enqueue(job)

    def poll(self) -> list[Answer]:
        """Do the work that is due, at most one inference. Call it again while it returns answers.

        Returns:
            Answers in the order of their frames: those of skipped frames, then at most one other.
        """
        with self._polls:
            with self._lock:
                now = self.clock.now()
                self.intake.update(now)
                self._tick(now)
                job = self._next_job(now)
                answers = list(self._skipped)
                self._skipped.clear()
                if job is None:
                    return answers
                sweeps = self.intake.sweeps_for(job.timestamp)
                # A frame of unknown age is still used if there are no sweeps.
                job.usable = job.usable or (job.reason == "time" and not sweeps)
                if job.ego is None and len(self.intake.ego):
                    job.ego = self.intake.ego.at(job.timestamp)
            answer = self._answerer.answer(job, sweeps, self._deadline)
            with self._lock:
                self.statistics.add(answer)
                if answer.reason in ("image", "frozen"):
                    self.intake.camera.refuse(job.arrived)
            return [*answers, answer]

    def next_due(self) -> int | None:
        """Return when `poll` next has work if no message comes; None for never."""
        with self._lock:
            if self._slot is None:
                return None
            now = self.clock.now()
            self.intake.update(now)
            if self._skipped or (self._queue and not self._waits(now)):
                return now
            tick = self._slot + self._grace
            moments = [tick] if self._end is None or tick <= self._end else []
            if self._queue:
                moments += [self._patience(self._queue[0]), self.intake.next_absence(now)]
            return min(moments, default=None)

    def finish(self, moment: int) -> None:
        """Answer no ticks after a moment; frames are still answered."""
        self._end = moment

    def counters(self, now: int | None = None) -> dict[str, Any]:
        """Return the counts by sensor and of the stream; ``now`` ends the open intervals of presence."""
        with self._lock:
            now = self.clock.now() if now is None else now
            self.intake.update(now)
            sensors = {sensor.name: sensor.to_json(self.start, now) for sensor in self.intake.sensors}
            camera = sensors[self.intake.camera.name]["counts"]
            camera |= {"undecodable": self._answerer.undecodable, "frozen": self._answerer.frozen}
            return {"clock_jumps": self.intake.jumps, "sensors": sensors}

    @property
    def _grace(self) -> int:
        return int(_GRACE * self.intake.camera.period)

    def _patience(self, job: Job) -> int:
        """Return until when a job may wait for a late radar and still be answered by its deadline."""
        return job.arrived + self.settings.deadline - int(1.2 * self._answerer.work)

    def _tick(self, now: int) -> None:
        if self._slot is None:
            return
        period = self.intake.camera.period
        last = now if self._end is None else min(now, self._end)
        while self._slot + self._grace <= last:
            job = Job(self.intake.frame_time(self._slot), "tick", self._slot + self._grace)
            job.camera = self.intake.camera_pose
            self._enqueue(job)
            self._slot += period

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job)
        while len(self._queue) > self.settings.queue:
            self._skip(self._queue.popleft(), "queue")

    def _next_job(self, now: int) -> Job | None:
        while len(self._queue) > 1 and now > self._queue[0].arrived + self._deadline:
            self._skip(self._queue.popleft(), "expired")
        return self._queue.popleft() if self._queue and not self._waits(now) else None

    def _waits(self, now: int) -> bool:
        """Return whether the only frame in the queue waits for a late radar."""
        head, until = self._queue[0], self._patience(self._queue[0])
        alone = len(self._queue) == 1 and head.usable
        return alone and now < until and self.intake.worth_waiting(head.timestamp, until)

    def _skip(self, job: Job, reason: str) -> None:
        if job.cause == "frame" and reason != "order":
            self.intake.camera.drop(f"skipped_{reason}", job.arrived)
        answer = self._answerer.skip(job, reason)
        self.statistics.add(answer)
        self._skipped.append(answer)
