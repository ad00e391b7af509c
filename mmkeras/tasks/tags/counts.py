"""What the metrics of entities need of each document. numpy only."""

from __future__ import annotations

import numpy as np

from mmkeras.tasks.tags.scheme import Scheme

__all__ = ["NO_TAG", "counted"]

NO_TAG = -1
"""Number in a target of padding and of words without a tag."""
_LEAST = 1e-7


def counted(
    scheme: Scheme, targets: np.ndarray, decided: np.ndarray, probabilities: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the evidence of B documents.

    Words without a tag are left out of both sequences, and end entities: an entity of a window that goes on in the next
    one is counted where its tags are.

    Args:
        scheme: the tags.
        targets: numbers of the tags (B, N), `NO_TAG` for words without one.
        decided: numbers of the decoded tags (B, N).
        probabilities: (B, N, T).

    Returns:
        ``entities`` float32 (B, 3, L): found, decided and true entities by label; ``exact`` (B,), whether all of them
        are right; ``right`` and ``words`` (B,), words with the right tag and with a tag; ``surprise`` (B,), the summed
        cross-entropy of the words, where values that are not finite count as probability 0.
    """
    real = targets != NO_TAG
    chosen = np.where(real, decided, NO_TAG)
    counts = np.zeros((len(targets), 3, len(scheme.labels)), np.float32)
    for row, (truth, answer) in enumerate(zip(targets, chosen, strict=True)):
        true, found = set(scheme.spans(truth)), set(scheme.spans(answer))
        for place, spans in enumerate((true & found, found, true)):
            for span in spans:
                counts[row, place, span.label] += 1
    own = np.take_along_axis(probabilities.astype(np.float64), np.maximum(targets, 0)[..., None], -1)[..., 0]
    own = np.where(np.isfinite(own), own, 0.0)
    return {
        "entities": counts,
        "exact": (counts[:, 0] == counts[:, 1]).all(axis=1) & (counts[:, 0] == counts[:, 2]).all(axis=1),
        "right": ((chosen == targets) & real).sum(axis=1),
        "words": real.sum(axis=1),
        "surprise": np.where(real, -np.log(np.clip(own, _LEAST, 1.0)), 0.0).sum(axis=1),
    }
