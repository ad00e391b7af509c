from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.core.config import DataConfig
from mmkeras.core.errors import DataError
from mmkeras.data.sources import Sample
from mmkeras.data.splits import assign, check, check_groups, fill


def sample(key: str, split: str | None = None, group: str | None = None) -> Sample:
    return Sample(key=key, values={}, target="a", split=split, group=group, origin=f"t.csv:{key}")


groups = st.one_of(st.none(), st.integers(0, 5).map(str))


@given(
    st.lists(groups, max_size=40),
    st.integers(0, 5),
    st.floats(0.1, 0.8),
    st.floats(0, 0.2),
    st.randoms(use_true_random=False),
)
def test_groups_stay_together_whatever_the_order_and_the_company(names, seed, train, validation, random):
    config = DataConfig(train_share=train, validation_share=validation, split_seed=seed)
    samples = [sample(str(n), group=name) for n, name in enumerate(names)]
    first = dict(zip((s.key for s in samples), assign(samples, config), strict=True))
    sides: dict[str, set[str]] = {}
    for one in samples:
        if one.group is not None:
            sides.setdefault(one.group, set()).add(first[one.key])
    assert all(len(side) == 1 for side in sides.values())
    some = [s for s in samples if random.random() < 0.7]
    random.shuffle(some)
    assert [first[s.key] for s in some] == assign(some, config)


def test_shares_are_kept_and_the_seed_matters():
    samples = [sample(str(n)) for n in range(5000)]
    first = assign(samples, DataConfig(train_share=0.7, validation_share=0.2))
    share = {name: count / 5000 for name, count in Counter(first).items()}
    assert share == pytest.approx({"train": 0.7, "validation": 0.2, "test": 0.1}, abs=0.02)
    assert first != assign(samples, DataConfig(train_share=0.7, validation_share=0.2, split_seed=1))


def test_validation_comes_from_training_where_the_dataset_has_a_test_split():
    samples = [sample(str(n), "test" if n < 300 else "train") for n in range(1000)]
    splits = assign(samples, DataConfig(validation_share=0.1))
    assert splits[:300] == ["test"] * 300
    assert 40 < splits.count("validation") < 100
    assert splits.count("test") == 300


def test_own_splits_stay_as_they_are():
    own = ["train", "validation", "test"] * 30
    assert assign([sample(str(n), split) for n, split in enumerate(own)], DataConfig()) == own


def test_rows_without_a_split_never_join_a_test_split_of_its_own():
    samples = [sample(str(n), "test" if n < 10 else None) for n in range(500)]
    assert assign(samples, DataConfig()).count("test") == 10


def test_a_torn_group_is_a_leak():
    samples = [sample("1", "train", "x"), sample("2", "test", "x"), sample("3", "validation")]
    with pytest.raises(DataError, match=r"1 groups .*'x' in train \(t.csv:1\) and test \(t.csv:2\)"):
        check_groups(samples, assign(samples, DataConfig()))


def test_samples_without_a_split_follow_those_of_their_group_that_have_one():
    samples = [
        sample(str(n), side if n % 5 == 0 else None, f"g{side}") for n in range(20) for side in ("test", "validation")
    ]
    assert assign(samples, DataConfig()) == [s.group[1:] for s in samples if s.group]


def test_a_side_that_would_be_empty_gets_one_group():
    samples = [sample(str(n), group=f"g{n % 4}") for n in range(40)]
    config = DataConfig(train_share=0.98, validation_share=0.01)
    first = assign(samples, config)
    assert set(first) == {"train"}
    filled = fill(samples, first, config)
    assert {name: filled.count(name) for name in set(filled)} == {"train": 20, "validation": 10, "test": 10}
    assert len({(s.group, side) for s, side in zip(samples, filled, strict=True)}) == 4
    own = [sample(str(n), "train") for n in range(9)]
    assert fill(own, ["train"] * 9, config) == ["train"] * 9
    assert fill(samples[:1], ["train"], config) == ["train"]


def test_required_groups_and_wrong_shares():
    with pytest.raises(DataError, match="split_by_group"):
        check([sample("1", group="x"), sample("2")], DataConfig(split_by_group=True))
    with pytest.raises(DataError, match="train_share"):
        check([sample("1")], DataConfig(train_share=0.9, validation_share=0.2))


def labelled(label: str, groups: int, each: int = 3) -> list[Sample]:
    return [
        Sample(key=f"{label}{n}-{k}", values={}, target=label, group=f"{label}{n}")
        for n in range(groups)
        for k in range(each)
    ]


def test_stratified_splits_hold_every_label_and_keep_groups_together():
    samples = [*labelled("rare", 3), *labelled("pair", 2), *labelled("often", 40)]
    config = DataConfig(train_share=0.6, validation_share=0.15, stratify=True)
    splits = assign(samples, config)
    check_groups(samples, splits)
    counts = Counter((sample.target, split) for sample, split in zip(samples, splits, strict=True))
    assert counts == {
        **{("rare", split): 3 for split in ("train", "validation", "test")},
        **{("pair", "train"): 3, ("pair", "test"): 3},
        **{("often", "train"): 72, ("often", "validation"): 18, ("often", "test"): 30},
    }
    assert splits != assign(samples, replace(config, split_seed=1))
    assert splits == assign(samples, config)


def test_stratified_validation_comes_from_training_where_the_dataset_has_a_test_split():
    given = [replace(sample, split="train") for sample in labelled("a", 10)]
    given += [replace(sample, split="test") for sample in labelled("b", 2)]
    splits = assign(given, DataConfig(validation_share=0.2, stratify=True))
    assert splits[30:] == ["test"] * 6
    assert Counter(splits[:30]) == {"train": 24, "validation": 6}
