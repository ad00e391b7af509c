"""Assigns samples to training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from mmkeras.core.config import DataConfig
from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import SPLITS, Sample

__all__ = ["SPLITS", "assign", "check", "check_groups", "fill", "position"]


def assign(samples: Sequence[Sample], config: DataConfig) -> list[str]:
    """Return the split of every sample.

    A sample keeps the split that its dataset gives it, except that validation is taken from training where the dataset
    has test samples but no validation samples. Where a dataset has a test split, samples without a split go to training
    and validation alone. The split follows from a hash of the seed and the sample's group (its key, where it has none):
    samples of one group are always together, whatever their order, and a sample stays where it is when others are
    added. Where the dataset gives the split of some samples of a group, the others follow the first of them.

    With ``stratify`` the groups of each label are divided by their number, in the order of their hashes; then a sample
    may move when others are added.
    """
    own = {sample.split for sample in samples}
    has_test = "test" in own
    take_validation = has_test and "validation" not in own
    train_share = 1.0 - config.validation_share if has_test else config.train_share
    result = []
    fixed = [None if take_validation and sample.split == "train" else sample.split for sample in samples]
    leads: dict[str, str] = {}
    for sample, split in zip(samples, fixed, strict=True):
        if split is not None and sample.group is not None:
            leads.setdefault(sample.group, split)
    by_label = _by_label(samples, fixed, leads, config, has_test) if config.stratify else {}
    for sample, split in zip(samples, fixed, strict=True):
        draw = position(sample.group or sample.key, config.split_seed)
        if split is not None:
            result.append(split)
        elif sample.split is None and sample.group in leads:
            result.append(leads[sample.group])
        elif by_label:
            result.append(by_label[sample.group or sample.key])
        elif draw < train_share:
            result.append("train")
        elif draw < train_share + config.validation_share or has_test:
            result.append("validation")
        else:
            result.append("test")
    return result


def _by_label(
    samples: Sequence[Sample],
    fixed: Sequence[str | None],
    leads: Mapping[str, str],
    config: DataConfig,
    has_test: bool,
) -> dict[str, str]:
    """Return the split of each group without one; a group has the label of its first sample."""
    labels: dict[str, str] = {}
    for sample, split in zip(samples, fixed, strict=True):
        if split is None and not (sample.split is None and sample.group in leads):
            target = sample.target
            labels.setdefault(sample.group or sample.key, str(target) if isinstance(target, str | bool | int) else "")
    groups: dict[str, list[str]] = {}
    for name, label in labels.items():
        groups.setdefault(label, []).append(name)
    result = {}
    for names in groups.values():
        names.sort(key=lambda name: position(name, config.split_seed))
        test_share = 0.0 if has_test else max(0.0, 1.0 - config.train_share - config.validation_share)
        # The last of three parts is that of the training; of two groups one is held out for the test.
        test = _part(test_share, len(names), keep=1)
        validation = _part(config.validation_share, len(names), keep=1 + test)
        for place, name in enumerate(names):
            result[name] = "test" if place < test else "validation" if place < test + validation else "train"
    return result


def _part(share: float, count: int, keep: int) -> int:
    """Return the number of groups in a split: at least one where the share asks for it, and ``keep`` are left."""
    return min(max(1, round(share * count)), max(0, count - keep)) if share > 1e-9 else 0


def fill(samples: Sequence[Sample], splits: Sequence[str], config: DataConfig) -> list[str]:
    """Return the splits with a group moved into each requested split that would be empty, as happens with few groups.

    Only samples without a split from the dataset are moved: the group in training (or validation, for test) whose hash
    is nearest to the empty split, if the other split keeps a group.
    """
    result = list(splits)
    names = [sample.group or sample.key if sample.split is None else None for sample in samples]
    own = {sample.split for sample in samples}
    wanted = {
        "validation": config.validation_share > 0 and "validation" not in own,
        "test": config.train_share + config.validation_share < 1 - 1e-9 and "test" not in own,
    }
    for side, donors in (("validation", ("train",)), ("test", ("validation", "train"))):
        for donor in donors if wanted[side] and side not in result else ():
            free = {name for name, split in zip(names, result, strict=True) if name is not None and split == donor}
            if len(free) > 1:
                moved = max(free, key=lambda name: position(name, config.split_seed))
                result = [
                    side if split == donor and name == moved else split
                    for name, split in zip(names, result, strict=True)
                ]
                break
    return result


def position(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on name and seed alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def check(samples: Sequence[Sample], config: DataConfig) -> None:
    """Check the shares and, with ``split_by_group``, that every sample has a group.

    Raises:
        DataError: shares out of range, or a sample without a required group.
    """
    train, validation = config.train_share, config.validation_share
    if train <= 0 or validation < 0 or train + validation > 1 + 1e-9:
        raise DataError(
            f"Expected train_share > 0, validation_share >= 0 and a sum of at most 1, got {train} and {validation}"
        )
    if config.split_by_group:
        without = [sample.origin for sample in samples if sample.group is None]
        if without:
            raise DataError(
                f"split_by_group needs a group in every row, but {len(without)} have none, the first at {without[0]}. "
                "Name the column with the source's option group, or fill it"
            )


def check_groups(samples: Sequence[Sample], splits: Iterable[str]) -> None:
    """Check that no group of the dataset is in several splits; only the dataset's own splits can cause that.

    Raises:
        DataError: a group in several splits.
    """
    seen: dict[str, tuple[str, str]] = {}
    torn: dict[str, str] = {}
    for sample, split in zip(samples, splits, strict=True):
        if sample.group is None:
            continue
        first, origin = seen.setdefault(sample.group, (split, sample.origin))
        if first != split:
            torn.setdefault(sample.group, f"{sample.group!r} in {first} ({origin}) and {split} ({sample.origin})")
    if torn:
        examples = "; ".join(list(torn.values())[:3])
        raise DataError(
            f"{len(torn)} groups are in several splits, so the scores would be too good: {examples}. "
            "Correct the split column, or leave the option split or group out"
        )
