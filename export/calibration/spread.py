"""Which samples to take: spread over what is present, over kinds and over lengths, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.calibration.traits import Traits, length_bins

__all__ = ["choose_positions", "fill"]

LEAST_SHARE = 0.05
"""Share of the chosen samples that a rare combination of present modalities gets, where there are so many."""


def choose_positions(traits: Traits, count: int, seed: int) -> np.ndarray:
    """Return the positions (n,) of the samples to take, ascending; all of them where there are not ``count``.

    Every combination of present modalities gets its share of the split, but at least `LEAST_SHARE`. Within one, the
    kinds get equal numbers as far as they go. Within a kind, samples are taken at equal steps in the order of length.

    Args:
        traits: of every sample of the split.
        count: samples wanted.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    total = len(traits.kinds)
    if total <= count:
        return np.arange(total)
    order = _by_length(traits, rng)
    patterns, pattern = np.unique(traits.present, axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    kinds, kind = np.unique(np.asarray(traits.kinds), return_inverse=True)
    chosen: list[int] = []
    for number, quota in enumerate(_quotas(np.bincount(pattern, minlength=len(patterns)), count)):
        groups = [order[(pattern[order] == number) & (kind[order] == k)] for k in range(len(kinds))]
        for group, wanted in zip(groups, fill([len(group) for group in groups], quota, rng), strict=True):
            chosen += [int(p) for p in group[_steps(len(group), wanted, rng)]]
    return np.sort(np.asarray(chosen, np.int64))


def fill(sizes: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Share ``count`` among groups as evenly as their sizes allow; what cannot be divided is drawn."""
    taken = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        open_groups = [i for i, size in enumerate(sizes) if taken[i] < size]
        each = left // len(open_groups)
        if not each:
            for i in rng.permutation(open_groups)[:left]:
                taken[i] += 1
            break
        for i in open_groups:
            more = min(each, sizes[i] - taken[i])
            taken[i] += more
            left -= more
    return taken


def _by_length(traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """Return all positions (N,) in the order of their lengths' quarters, drawn within the same quarters."""
    columns = [rng.random(len(traits.kinds))]
    columns += [length_bins(lengths)[0] for lengths in reversed(traits.lengths.values())]
    return np.lexsort(columns)


def _quotas(sizes: np.ndarray, count: int) -> list[int]:
    """Return how many samples each combination gets: in proportion, the rare ones lifted, the commonest the rest."""
    least = int(np.ceil(LEAST_SHARE * count))
    quotas = [int(min(size, max(round(count * size / sizes.sum()), least))) for size in sizes]
    common = int(np.argmax(sizes))
    others = sum(quotas) - quotas[common]
    quotas[common] = int(min(sizes[common], max(count - others, 0)))
    # Many rare combinations together may ask for too much.
    while sum(quotas) > count:
        quotas[int(np.argmax(quotas))] -= 1
    return quotas


def _steps(size: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``wanted`` places in 0..size-1 at equal steps from a drawn start."""
    if not wanted:
        return np.array([], np.int64)
    return np.floor((np.arange(wanted) + rng.random()) * size / wanted).astype(np.int64)
