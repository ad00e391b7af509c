"""Chooses a calibration set from the training split, which is read twice and never held in memory as a whole."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from export.calibration.calibration import Calibration, Strata
from export.calibration.traits import RawSample, Traits, length_bins, read_traits
from export.verification.scenarios import ALL, Scenario, scenarios
from mmkeras.core.errors import ConfigError, ExportError
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from mmkeras.data.index import Index

__all__ = ["SPLIT", "assign_scenarios", "choose_calibration", "choose_positions", "choose_samples", "fill", "strata_of"]

SPLIT = "train"
"""Never the test split: a file that was calibrated on it would score too well there."""
SCENARIO_SHARE = 0.05
"""Share of the samples for each scenario other than ``all``, so that the ranges without a modality are measured."""
CHANGED_SHARE = 0.4
"""Largest share for all these scenarios together: most samples stay unchanged."""
LEAST_SHARE = 0.05
"""Least share of the chosen samples for a rare combination of present modalities, as far as it has samples."""


def choose_positions(traits: Traits, count: int, seed: int) -> np.ndarray:
    """Return the positions (n,) of the samples to take, ascending; all of them where there are fewer than ``count``.

    Every combination of present modalities gets its share of the split, but at least `LEAST_SHARE`. Within a
    combination, kinds get equal numbers as far as they have samples. Within a kind, samples are taken at equal steps in
    the order of length.
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
    """Share ``count`` among groups as evenly as their sizes allow; groups for the remainder are drawn."""
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
    """Return all positions (N,) ordered by the quarters of their lengths, in random order within equal quarters."""
    columns = [rng.random(len(traits.kinds))]
    columns += [length_bins(lengths)[0] for lengths in reversed(traits.lengths.values())]
    return np.lexsort(columns)


def _quotas(sizes: np.ndarray, count: int) -> list[int]:
    """Return the samples of each combination: in proportion to its size, but at least `LEAST_SHARE`."""
    least = int(np.ceil(LEAST_SHARE * count))
    quotas = [int(min(size, max(round(count * size / sizes.sum()), least))) for size in sizes]
    common = int(np.argmax(sizes))
    others = sum(quotas) - quotas[common]
    quotas[common] = int(min(sizes[common], max(count - others, 0)))
    # The minimum shares of many rare combinations may add up to more than the count.
    while sum(quotas) > count:
        quotas[int(np.argmax(quotas))] -= 1
    return quotas


def _steps(size: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``wanted`` places in 0..size-1 at equal steps from a random start."""
    if not wanted:
        return np.array([], np.int64)
    return np.floor((np.arange(wanted) + rng.random()) * size / wanted).astype(np.int64)


def choose_calibration(
    index: Index,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    count: int,
    seed: int = 0,
    step: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Choose samples of the training split by class, present modalities and length; the same for the same seed.

    `SCENARIO_SHARE` of them is changed as in each of the export's other scenarios: modalities missing, and difficult
    inputs. A split with fewer than ``count`` samples is taken whole. ``step`` is called with lines of progress.

    Raises:
        ConfigError: ``count`` is below 1.
        ExportError: there is no training split.
        DataError: a damaged shard.
    """
    from mmkeras.data.read import iterate_samples

    if not index.samples(SPLIT):
        raise ExportError(
            f"{index.folder}: has no training samples to calibrate static int8 on. Convert the data again, or give "
            "samples with --calibration FILE.npz."
        )
    return choose_samples(lambda: iterate_samples(index, SPLIT), specs, task, count, seed, step)


def choose_samples(
    read: Callable[[], Iterable[RawSample]],
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    count: int,
    seed: int = 0,
    step: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Choose as `choose_calibration` does. ``read`` is called twice and returns the samples in the same order."""
    if count < 1:
        raise ConfigError(f"calibration_samples: expected at least 1 to measure ranges on, got {count}")
    traits = read_traits(read(), specs, task, step)
    if not traits.kinds:
        raise ExportError("There are no samples to choose from. Give the data a training split.")
    positions = choose_positions(traits, count, seed)
    # Shuffled, since the split may be sorted: in a moving average of ranges, the first samples would not count.
    positions = np.random.default_rng(seed).permutation(positions)
    names = list(specs)
    changes = assign_scenarios(
        scenarios(specs), [{n for n, there in zip(names, traits.present[p], strict=True) if there} for p in positions]
    )
    step(f"calibration: preparing {len(positions)} samples")
    keys, inputs = _prepare(read(), specs, dict(zip(positions.tolist(), changes, strict=True)))
    return Calibration(inputs, keys, SPLIT, strata_of(traits, positions, changes, names))


def assign_scenarios(every: tuple[Scenario, ...], present: list[set[str]]) -> list[Scenario]:
    """Return the scenario of each sample; each scenario is spread evenly over the samples."""
    whole = next(scenario for scenario in every if scenario.name == ALL)
    others = [scenario for scenario in every if scenario is not whole]
    result = [whole] * len(present)
    if not others:
        return result
    each = int(len(present) * min(SCENARIO_SHARE, CHANGED_SHARE / len(others)))
    each = each or int(len(present) >= 2 * len(others))
    # Scenarios alternate by position, so that each has samples of the whole split.
    places = np.linspace(0, len(present) - 1, each * len(others)).round().astype(int).tolist()
    free = dict.fromkeys(range(len(present)))
    for number, place in enumerate(places):
        scenario = others[number % len(others)]
        fits = [row for row in free if _can_change(scenario, present[row])]
        if fits:
            row = min(fits, key=lambda row: abs(row - place))
            result[row] = scenario
            del free[row]
    return result


def strata_of(traits: Traits, positions: np.ndarray, changes: list[Scenario], names: list[str]) -> Strata:
    """Return the number of chosen samples in each stratum, empty strata included."""
    result: Strata = {}
    every = sorted({label for labels in traits.labels for label in labels})
    if every:
        held = Counter(label for p in positions for label in set(traits.labels[p]))
        result["class"] = {label: held[label] for label in every}
    else:
        result["part"] = dict(sorted(Counter(traits.kinds[p] for p in positions).items()))
    result["scenario"] = dict(Counter(change.name for change in changes))
    patterns = Counter[str]()
    for position, change in zip(positions, changes, strict=True):
        removed = change.modality if change.name == f"without_{change.modality}" else None
        kept = [n for n, present in zip(names, traits.present[position], strict=True) if present and n != removed]
        patterns["+".join(kept) or "nothing"] += 1
    result["present"] = dict(sorted(patterns.items()))
    for name, lengths in traits.lengths.items():
        bins, labels = length_bins(lengths)
        counts = np.bincount(bins[positions], minlength=len(labels))
        result[name] = dict(zip(labels, counts.tolist(), strict=True))
    return result


def _can_change(scenario: Scenario, present: set[str]) -> bool:
    """Return whether a sample has the modality that the scenario changes, and another one where it is removed."""
    if scenario.modality not in present:
        return False
    return scenario.name != f"without_{scenario.modality}" or len(present) > 1


def _prepare(
    samples: Iterable[RawSample], specs: Mapping[str, ModalitySpec], wanted: Mapping[int, Scenario]
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return keys and inputs (n, ...) of the wanted samples by position, each in its scenario."""
    keys: dict[int, str] = {}
    rows: dict[int, dict[str, np.ndarray]] = {}
    for position, sample in enumerate(itertools.islice(samples, max(wanted) + 1)):
        if position not in wanted:
            continue
        scenario = wanted[position]
        keys[position] = sample.key if scenario.name == ALL else f"{sample.key} ({scenario.name})"
        rows[position] = {}
        for name, spec in specs.items():
            value = sample.values.get(name)
            if value is not None and name == scenario.modality and scenario.change is not None:
                value = scenario.change(value)
            rows[position] |= spec.inputs(value)
    tensors = [tensor for spec in specs.values() for tensor in (*spec.tensors, spec.present)]
    return tuple(keys[position] for position in wanted), {
        t.name: np.stack([rows[position][t.name] for position in wanted]).astype(t.dtype, copy=False) for t in tensors
    }
