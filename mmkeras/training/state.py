"""What a resumed stage needs besides weights and optimizer."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["State", "state_from_json"]


class State:
    """What a resumed run needs besides weights and optimizer: position, history and the best score.

    Args:
        step: steps done since the start of the run.
        best: best validation score so far, higher is better; NaN where no epoch had a score.
        by_loss: ``best`` is a negative loss, since the validation metric did not exist in any epoch so far.
        best_epoch: the epoch, from 1, that it is from.
        waited: epochs since then.
        history: logs of every finished epoch.
        batch_size: samples of a step; with another one the steps so far would mean something else.
        metrics: within an epoch, the sums of its metrics so far.
        seeds: states of the generators of random numbers (dropout), which Keras does not save with the weights.
    """

    def __init__(
        self,
        step: int = 0,
        best: float | None = None,
        best_epoch: int = 0,
        waited: int = 0,
        history: list[dict[str, float]] | None = None,
        batch_size: int | None = None,
        metrics: list[list[float]] | None = None,
        by_loss: bool = False,
        seeds: list[list[int]] | None = None,
    ) -> None:
        self.step = step
        self.best = best
        self.best_epoch = best_epoch
        self.waited = waited
        self.history = history or []
        self.batch_size = batch_size
        self.metrics = metrics
        self.by_loss = by_loss
        self.seeds = seeds

    def better(self, score: float, by_loss: bool) -> bool:
        """Return whether an epoch is better than the best so far: any number beats NaN, any metric beats a loss."""
        if self.best is None or math.isnan(self.best):
            return self.best is None or not math.isnan(score)
        if by_loss != self.by_loss:
            return self.by_loss and not math.isnan(score)
        return score > self.best


def state_from_json(value: Any) -> State:
    """Return the state that ``state.json`` holds; it steers the run, so every number must be one.

    Raises:
        ValueError: a number of the wrong kind.
        TypeError: unknown or missing keys, or no object at all.
    """
    state = State(**value)
    seeds = [number for seed in state.seeds or () for number in seed]
    whole = (state.step, state.best_epoch, state.waited, state.batch_size or 0, *seeds)
    scores = [score for logs in state.history for score in dict(logs).values()]
    scores += [value for values in state.metrics or () for value in values]
    right = all(type(number) is int and number >= 0 for number in whole)
    right = right and type(state.by_loss) is bool
    if not right or not all(type(score) in (int, float) for score in [state.best or 0.0, *scores]):
        raise ValueError("state.json: expected whole numbers of 0 or more, a score, and logs with a number by name")
    return state
