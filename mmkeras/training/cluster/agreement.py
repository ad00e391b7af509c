"""How workers agree to stop after the same step: if one left earlier, the others would wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["Agreement"]


class Agreement:
    """A request of any worker, known to all in the same training step.

    Each step adds up the requests of all replicas in an all-reduce of one number. The sum is read once per ``every``
    steps, because reading waits for the device.
    """

    def __init__(self, every: int = 1) -> None:
        with tf.device("CPU:0"):
            self._request = tf.Variable(0.0, trainable=False, name="stop_requested")
            self._sum = tf.Variable(0.0, trainable=False, name="stop_requests")
        self._every = every
        self._steps = 0

    def request(self) -> None:
        """Request a stop; call between two steps."""
        self._request.assign(1.0)

    def counting(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a training step that also adds up the requests."""

        def counted(data: Any) -> Any:
            context = tf.distribute.get_replica_context()
            self._sum.assign(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(self._request)))
            return step(data)

        return counted

    def reached(self) -> bool:
        """Return, after each step, whether to stop now: the same on all workers."""
        self._steps += 1
        return self._steps % self._every == 0 and float(self._sum.numpy()) > 0
