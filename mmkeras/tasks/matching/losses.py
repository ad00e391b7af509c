"""The loss of matching: contrastive over the whole batch, a discrepancy of the towers, and the head for pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from mmkeras.layers.batch import LossContext, batch_mean
from mmkeras.tasks.matching.discrepancy import discrepancy
from mmkeras.tasks.matching.pairs import hardest
from mmkeras.tasks.matching.spec import Config
from mmkeras.tasks.matching.task import GROUP, Spec

__all__ = ["MatchingLoss", "line_of"]

_NEVER = -1e9
"""Logit of a candidate that does not count; only in training."""
_LEAST = 1e-6


def line_of(similarity: Any, cosine: Any) -> tuple[Any, Any]:
    """Return the factor and the bias with which ``similarity`` (N,) is computed from ``cosine`` (N,).

    The loss needs them for pairs that the model's outputs do not hold. They are the line through the outputs, which is
    exact, with gradients to the variables of `mmkeras.tasks.matching.head.Temperature`.
    """
    cosine = ops.stop_gradient(cosine)
    away = cosine - ops.mean(cosine)
    factor = ops.sum(away * similarity) / ops.maximum(ops.sum(away * away), _LEAST)
    return factor, ops.mean(similarity) - factor * ops.mean(cosine)


class MatchingLoss:
    """The loss hook of the matching task.

    Inputs that belong together, such as several captions of one picture, are never each other's negatives. A sample
    without one of its two inputs has no partner; only the discrepancy uses it.

    Args:
        spec: the task.
        config: its options.
    """

    def __init__(self, spec: Spec, config: Config) -> None:
        self.spec, self.config = spec, config

    def __call__(
        self, outputs: Mapping[str, Any], targets: Mapping[str, Any], inputs: Mapping[str, Any], context: LossContext
    ) -> dict[str, Any]:
        """Return the parts ``contrastive`` (B,), and ``discrepancy`` () and ``pairs`` (B,) where they are used."""
        names = [f"{name}_embedding" for name in self.spec.towers]
        own = [outputs[name] for name in names]
        counts = ops.cast(context.weights > 0, own[0].dtype)
        present = [ops.cast(inputs[f"{name}_present"] > 0.5, own[0].dtype) * counts for name in self.spec.towers]
        target = targets[names[0]]
        every = [context.gather(each) for each in own]
        here = [context.gather(each) for each in present]
        pair, both = present[0] * present[1], here[0] * here[1]
        groups = context.gather(target)[:, GROUP]
        places = context.places(own[0])
        # The captions of one picture share its group; the sample's own partner stands on the diagonal.
        diagonal = ops.expand_dims(places, 1) == ops.expand_dims(ops.arange(0, ops.shape(groups)[0], dtype="int32"), 0)
        other = ops.expand_dims(target[:, GROUP], 1) != ops.expand_dims(groups, 0)
        negative = ops.logical_and(other, ops.expand_dims(both > 0, 0))
        factor, bias = line_of(
            ops.reshape(context.gather(outputs["similarity"]), (-1,)), ops.sum(every[0] * every[1], axis=-1)
        )
        found = []
        for way in (0, 1):
            cosine = ops.matmul(own[way], ops.transpose(every[1 - way]))
            if self.config.loss == "sigmoid":
                found.append(_sigmoid(factor * cosine + bias, diagonal, negative))
            else:
                found.append(_infonce(factor * cosine, diagonal, negative, self.config.label_smoothing))
        # Samples without a partner count in the mean over the batch; their share is divided out.
        scale = pair / ops.maximum(batch_mean(pair), _LEAST)
        parts = {"contrastive": 0.5 * (found[0] + found[1]) * scale}
        if self.config.mmd:
            parts["discrepancy"] = self.config.mmd * discrepancy(
                every[0], every[1], here[0], here[1], self.config.mmd_kernel
            )
        if self.spec.pairs:
            parts["pairs"] = self.config.pair_weight * scale * self._pairs(outputs["match"], own, target, pair, context)
        return parts

    def _pairs(self, match: Any, own: Any, target: Any, pair: Any, context: LossContext) -> Any:
        """Return the mean cross-entropy (B,) of the judgements of each sample's pair and, in training, of wrong ones.

        Args:
            match: probabilities (B, 1), or (B, 1 + 2 K) with those of `PairScores` in training.
            own: vectors of the two towers.
            target: encoded targets (B, 3).
            pair: 1 for samples with both inputs (B,).
            context: of the loss.
        """
        match = ops.clip(match, 1e-6, 1 - 1e-6)
        right = -ops.log(match[:, 0])
        if not context.training:
            return right
        rows = hardest(own[0], own[1], self.config.hard_negatives)
        groups = context.gather(target)[:, GROUP]
        valid = context.gather(pair)
        wrong = ops.cast(ops.take(groups, rows) != target[:, GROUP : GROUP + 1], match.dtype) * ops.take(valid, rows)
        costs = ops.sum(-ops.log(1 - match[:, 1:]) * wrong, axis=1) / ops.maximum(ops.sum(wrong, axis=1), 1.0)
        return 0.5 * (right + costs)


def _infonce(logits: Any, diagonal: Any, negative: Any, smoothing: float) -> Any:
    """Return the cross-entropy (B,) of the own partner among the partners of the batch."""
    counted = ops.logical_or(diagonal, negative)
    logits = ops.where(counted, logits, _NEVER)
    total = ops.logsumexp(logits, axis=1)
    right = total - ops.sum(ops.where(diagonal, logits, 0.0), axis=1)
    if not smoothing:
        return right
    number = ops.sum(ops.cast(counted, logits.dtype), axis=1)
    mean = total - ops.sum(ops.where(counted, logits, 0.0), axis=1) / number
    return (1 - smoothing) * right + smoothing * mean


def _sigmoid(logits: Any, diagonal: Any, negative: Any) -> Any:
    """Return the sum (B,) of the binary cross-entropies of a sample with all partners of the batch."""
    costs = ops.where(diagonal, ops.softplus(-logits), ops.softplus(logits))
    return ops.sum(ops.where(ops.logical_or(diagonal, negative), costs, 0.0), axis=1)
