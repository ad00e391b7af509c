import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.verification.passes import block_size
from mmkeras.core.errors import DataError
from mmkeras.data.read import Record
from mmkeras.evaluation import predict as module
from mmkeras.evaluation.predict import Variant, derangement, input_bytes, predict
from mmkeras.evaluation.samples import Samples, collect
from mmkeras.modalities.video.spec import Config as VideoConfig
from tests.evaluation.problems import both_bits, specs, task, two_signals

SPECS = specs("left", "right")


@given(st.integers(2, 300), st.integers(0, 100))
def test_a_derangement_moves_every_sample(size, seed):
    order = derangement(size, seed)
    assert sorted(order) == list(range(size))
    assert (order != np.arange(size)).all()


def test_batches_have_one_size_and_nothing_is_lost():
    samples, sizes = two_signals(50), []

    def model(batch):
        sizes.append({len(value) for value in batch.values()})
        return both_bits(batch)

    outputs = predict(model, samples, SPECS, batch_size=16)["probabilities"]
    assert sizes == [{16}] * 4
    np.testing.assert_array_equal(outputs, both_bits(samples.inputs)["probabilities"])
    assert len(predict(model, samples, SPECS, batch_size=1000)["probabilities"]) == 50


def test_large_inputs_are_run_in_smaller_batches(monkeypatch: pytest.MonkeyPatch):
    samples, sizes = two_signals(50), []
    monkeypatch.setattr(module, "INPUT_BYTES", 12 * input_bytes(SPECS.values()) + 1)

    def model(batch):
        sizes.append(len(batch["left_value"]))
        return both_bits(batch)

    predict(model, samples, SPECS, batch_size=40)
    assert sizes == [12] * 5
    clip = VideoConfig(frames=16, size=(128, 160)).spec("clip")
    assert input_bytes([clip]) == 16 * (128 * 160 * 3 + 4)
    assert [block_size(task(), each) for each in (SPECS.values(), [clip])] == [64, 17]


def test_removed_means_neutral_tensors_and_presence_zero():
    seen = []

    def model(batch):
        seen.append(batch)
        return both_bits(batch)

    predict(model, two_signals(8), SPECS, batch_size=8, variant=Variant(absent=frozenset({"left"})))
    assert not seen[0]["left_present"].any()
    assert not seen[0]["left_value"].any()
    assert seen[0]["left_value"].dtype == np.float32
    assert seen[0]["right_present"].all()


def test_shuffled_values_come_from_other_samples():
    samples, seen = two_signals(30), []
    samples.inputs["left_value"] = np.arange(30, dtype=np.float32)[:, None]

    def model(batch):
        seen.append(batch["left_value"][:, 0])
        return {"probabilities": np.ones((len(batch["left_value"]), 4), np.float32) / 4}

    predict(model, samples, SPECS, batch_size=10, variant=Variant(shuffled=frozenset({"left"})))
    values = np.concatenate(seen)
    assert sorted(values) == list(range(30))
    assert (values != np.arange(30)).all()


def test_outputs_that_are_not_finite_name_the_sample():
    def model(batch):
        outputs = both_bits(batch)
        outputs["probabilities"][2, 1] = np.nan
        return outputs

    with pytest.raises(DataError, match=r"1 of 8 samples.*'sample-2'"):
        predict(model, two_signals(8), SPECS, batch_size=8)


def record(key, target, group=0):
    return Record(key, {"left": "1"}, np.array(target, np.int32), 1.0, {"colour": key}, group)


def batches(targets):
    for start in range(0, len(targets), 3):
        part = np.asarray(targets[start : start + 3], np.int32)
        yield {"left_value": part[:, None]}, {"probabilities": part}, np.ones(len(part))


def test_collect_joins_batches_and_records():
    samples = collect(batches([0, 1, 2, 3]), task(), [record(f"k{i}", i, i // 2) for i in range(4)])
    assert len(samples) == 4
    assert samples.keys == ("k0", "k1", "k2", "k3")
    assert list(samples.columns["colour"]) == ["k0", "k1", "k2", "k3"]
    assert samples.targets.tolist() == [0, 1, 2, 3]
    assert samples.groups.tolist() == [0, 0, 1, 1]
    assert samples.take(np.array([3, 0])).groups.tolist() == [1, 0]


def test_without_records_every_sample_is_a_group():
    assert collect(batches([0, 1, 2, 3]), task()).groups.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("others", [[1, 0, 2, 3], [0, 1, 2]])
def test_collect_refuses_records_of_other_samples(others):
    with pytest.raises(DataError, match="same samples in the same order"):
        collect(batches([0, 1, 2, 3]), task(), [record("k", target) for target in others])


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(DataError, match="at least one batch"):
        collect(iter(()), task())
    with pytest.raises(DataError, match="same length"):
        Samples({"a": np.zeros(3)}, np.zeros(2), np.ones(2))
