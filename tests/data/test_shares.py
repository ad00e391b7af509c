"""Workers that share a batch or a split: together they have every sample once, each as one process would have it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data.shares import bounds, shared_dataset
from tests.data.test_dataset import CACHES, arrays, assert_same, data

__all__ = ["data"]


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_together_have_the_batches_of_one(data, cache, workers):
    options = {"cache": cache, "modality_dropout": 0.5, "start_step": 3}
    whole = arrays(data.train(batch_size=8, **options).take(8))
    parts = [
        arrays(data.train(batch_size=8 // workers, num_shards=workers, shard=n, **options).take(8))
        for n in range(workers)
    ]
    joined = [tf.nest.map_structure(lambda *each: np.concatenate(each), *step) for step in zip(*parts, strict=True)]
    assert_same(whole, joined)


@pytest.mark.parametrize("samples", [1, 2, 7, 41, 100])
@pytest.mark.parametrize("batch_size", [1, 8, 64])
@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
def test_every_sample_is_in_one_part_and_no_part_is_empty(samples, batch_size, replicas):
    if samples < replicas:
        with pytest.raises(DataError, match=f"{samples} samples, fewer than the {replicas} replicas"):
            bounds(samples, batch_size, replicas)
        return
    edges = bounds(samples, batch_size, replicas)
    sizes = np.diff(edges, axis=1)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(edges[1:, 0], edges[:-1, -1])
    assert (edges[0, 0], edges[-1, -1]) == (0, samples)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_shared_split_is_the_split(data, replicas):
    whole = arrays(data.evaluate("train"))
    parts = [
        arrays(
            shared_dataset(
                data.index, "train", data.specs, data.task, batch_size=9, replicas=replicas, first=first, count=1
            )
        )
        for first in range(replicas)
    ]
    assert len({len(part) for part in parts}) == 1
    steps = [part for step in zip(*parts, strict=True) for part in step]
    joined = tf.nest.map_structure(lambda *each: np.concatenate(each), *steps)
    assert_same([tf.nest.map_structure(lambda *each: np.concatenate(each), *whole)], [joined])


def test_one_worker_gives_the_parts_of_its_replicas_in_their_order(data):
    options = {"batch_size": 9, "replicas": 4}
    both = arrays(shared_dataset(data.index, "train", data.specs, data.task, **options, first=2, count=2))
    third, fourth = (
        arrays(shared_dataset(data.index, "train", data.specs, data.task, **options, first=first, count=1))
        for first in (2, 3)
    )
    assert_same(both, [part for step in zip(third, fourth, strict=True) for part in step])
