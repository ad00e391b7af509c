"""How workers agree to stop after the same step: one that leaves earlier would leave the others waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["Agreement"]


class Agreement:
    """A wish of any worker, which all learn of in the same training step.

    Each step adds up the wishes of all replicas; it costs a number in an all-reduce.

    Args:
        every: steps between two looks at the sum; looking waits for the device.
    """

    def __init__(self, every: int = 1) -> None:
        with tf.device("CPU:0"):
            self._wish = tf.Variable(0.0, trainable=False, name="wish_to_stop")
            self._sum = tf.Variable(0.0, trainable=False, name="wishes_to_stop")
        self._every = every
        self._steps = 0

    def wish(self) -> None:
        """Ask for a stop; call between two steps."""
        self._wish.assign(1.0)

    def counting(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a training step that also adds up the wishes."""

        def counted(data: Any) -> Any:
            context = tf.distribute.get_replica_context()
            self._sum.assign(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(self._wish)))
            return step(data)

        return counted

    def reached(self) -> bool:
        """Return, after each step, whether to stop now: the same on all workers."""
        self._steps += 1
        return self._steps % self._every == 0 and float(self._sum.numpy()) > 0
