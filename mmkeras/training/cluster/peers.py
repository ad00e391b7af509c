"""Turns TensorFlow's errors about a lost worker into one error that names it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from mmkeras.core.errors import TrainingError
from mmkeras.training.cluster.members import Members

__all__ = ["PeerLostError", "watched"]

_TASK = re.compile(r"/task:(\d+)")
_WORDS = ("ollective", "oordination", "heartbeat", "task:", "arrier", "recvmsg", "socket")
"""TensorFlow's errors about other workers contain one of these."""
_SILENT = ("heartbeat", "Deadline", "DEADLINE")


class PeerLostError(TrainingError):
    """Another worker has died or can no longer be reached."""


@contextlib.contextmanager
def watched(members: Members) -> Iterator[None]:
    """Turn TensorFlow's errors about a lost worker into `PeerLostError`.

    TensorFlow detects a killed process at once by its closed connections, and a silent one by its heartbeat
    (`mmkeras.training.cluster.connect`). Both end every operation that waits for other workers.

    Raises:
        PeerLostError: TensorFlow has lost another worker.
    """
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.DeadlineExceededError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.FailedPreconditionError,
        tf.errors.InternalError,
        tf.errors.UnknownError,
    ) as error:
        text = str(error)
        if not any(word in text for word in _WORDS):
            raise
        raise PeerLostError(_describe(text, members)) from None


def _describe(text: str, members: Members) -> str:
    named = [int(number) for number in _TASK.findall(text) if members.rank != int(number) < len(members.hosts)]
    if not named and "CoordinationService" in text and members.rank:
        named = [0]
    who = f"Worker {named[0]} ({members.hosts[named[0]]})" if named else "Another worker"
    silent = any(word in text for word in _SILENT)
    why = "is silent: it hangs, or its machine or network is gone" if silent else "has ended"
    return (
        f"{who} of {len(members.hosts)} {why}; worker {members.rank} stops. Steps since the last checkpoint are lost. "
        "Start all workers again with --resume."
    )
