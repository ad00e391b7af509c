import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from mmkeras.errors import DataError
from mmkeras.evaluation.intervals import SLOW_RESAMPLES, Bootstrap
from mmkeras.tasks.classification.spec import Spec as Classification
from tests.evaluation.problems import probabilities


class SlowClassification(Classification):
    """The same scores under names that have no fast way."""

    def score(self, targets, outputs, weights=None):
        scores = super().score(targets, outputs, weights)
        return {"accuracy": scores["accuracy"], "own_f1": scores["macro_f1"]}


class Resampled(SlowClassification):
    """The same once more, from weights instead of rows."""

    def score(self, targets, outputs, weights=None):
        raise AssertionError("the bootstrap went the slow way")

    def resampler(self, targets, outputs):
        return lambda weights: SlowClassification.score(self, targets, outputs, weights)


def spec(classes: int, kind: type[Classification] = Classification) -> Classification:
    return kind(labels=tuple(f"class {i}" for i in range(classes)))


def test_width_is_that_of_a_share():
    targets, outputs = probabilities(2000, 4)
    found = Bootstrap(2000).score(spec(4), targets, {"probabilities": outputs}).interval("accuracy")
    share = found.value
    expected = stats.norm.ppf(0.975) * np.sqrt(share * (1 - share) / 2000)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)
    assert found.low < share < found.high


def test_every_draw_is_the_metric_of_a_resample():
    targets, outputs = probabilities(300, 5)
    bootstrap = Bootstrap(5, seed=3)
    draws = bootstrap.score(spec(5), targets, {"probabilities": outputs}).draws
    rows = np.concatenate(list(bootstrap.counts(300))).astype(int)
    assert (rows.sum(1) == 300).all()
    for i, counts in enumerate(rows):
        truth, said = np.repeat(targets, counts), np.repeat(outputs.argmax(1), counts)
        assert draws["accuracy"][i] == pytest.approx(sk.accuracy_score(truth, said), abs=1e-6)
        assert draws["macro_f1"][i] == pytest.approx(sk.f1_score(truth, said, average="macro"), abs=1e-6)
        assert draws["balanced_accuracy"][i] == pytest.approx(sk.balanced_accuracy_score(truth, said), abs=1e-6)
        loss = sk.log_loss(truth, np.repeat(outputs, counts, axis=0), labels=range(5))
        assert draws["cross_entropy"][i] == pytest.approx(loss, rel=1e-5)


def test_slow_and_fast_draws_agree():
    targets, outputs = probabilities(200, 3)
    bootstrap = Bootstrap(150)
    fast = bootstrap.score(spec(3), targets, {"probabilities": outputs})
    slow = bootstrap.score(spec(3, SlowClassification), targets, {"probabilities": outputs})
    assert slow.methods == {"accuracy": "bootstrap", "own_f1": "bootstrap-slow"}
    assert len(slow.draws["own_f1"]) == SLOW_RESAMPLES
    np.testing.assert_allclose(slow.draws["own_f1"], fast.draws["macro_f1"][:SLOW_RESAMPLES], atol=1e-6)


def test_a_task_may_weigh_instead_of_picking_rows():
    targets, outputs = probabilities(200, 3)
    bootstrap = Bootstrap(150)
    slow = bootstrap.score(spec(3, SlowClassification), targets, {"probabilities": outputs})
    weighed = bootstrap.score(spec(3, Resampled), targets, {"probabilities": outputs})
    assert weighed.methods == slow.methods
    np.testing.assert_allclose(weighed.draws["own_f1"], slow.draws["own_f1"], atol=1e-9)


def test_all_right_has_an_exact_interval():
    targets = np.arange(40) % 2
    outputs = np.eye(2, dtype=np.float32)[targets]
    found = Bootstrap(50).score(spec(2), targets, {"probabilities": outputs}).interval("accuracy")
    oracle = stats.binomtest(40, 40).proportion_ci(0.95, method="exact")
    assert (found.value, found.high, found.method) == (1.0, 1.0, "exact")
    assert found.low == pytest.approx(oracle.low)
    wrong = Bootstrap(50).score(spec(2), 1 - targets, {"probabilities": outputs}).interval("accuracy")
    assert wrong.high == pytest.approx(1 - oracle.low)


def test_a_paired_difference_is_narrower_than_two_intervals():
    targets, outputs = probabilities(1000, 4)
    changed = outputs.copy()
    changed[:30] = changed[:30, ::-1]
    bootstrap = Bootstrap(500)
    first = bootstrap.score(spec(4), targets, {"probabilities": outputs})
    second = bootstrap.score(spec(4), targets, {"probabilities": changed})
    difference = first.difference(second, "accuracy")
    single = first.interval("accuracy")
    assert difference.high - difference.low < 0.6 * (single.high - single.low)
    same = first.difference(first, "accuracy")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_seed_decides():
    targets, outputs = probabilities(100, 3)
    arguments = (spec(3), targets, {"probabilities": outputs})
    assert Bootstrap(50).score(*arguments).intervals() == Bootstrap(50).score(*arguments).intervals()
    assert Bootstrap(50).score(*arguments).intervals() != Bootstrap(50, seed=1).score(*arguments).intervals()


def test_weights_count_in_values_and_draws():
    targets, outputs = probabilities(200, 3)
    weights = np.where(np.arange(200) < 100, 1.0, 0.0).astype(np.float32)
    half = Bootstrap(20).score(spec(3), targets, {"probabilities": outputs}, weights)
    alone = Bootstrap(20).score(spec(3), targets[:100], {"probabilities": outputs[:100]})
    assert half.values["accuracy"] == pytest.approx(alone.values["accuracy"])
    assert half.draws["accuracy"].mean() == pytest.approx(alone.values["accuracy"], abs=0.05)
    assert half.effective == 100


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 60),
    classes=st.integers(2, 6),
    seed=st.integers(0, 1000),
    confidence=st.floats(0.5, 0.99),
)
def test_intervals_are_ordered_and_in_range(samples, classes, seed, confidence):
    targets, outputs = probabilities(samples, classes, seed)
    found = Bootstrap(60, confidence, seed).score(spec(classes), targets, {"probabilities": outputs}).intervals()
    for name, interval in found.items():
        assert interval.low <= interval.high
        if name != "cross_entropy":
            assert interval.low >= 0
            assert interval.high <= 1 + 1e-6


def test_no_samples_is_an_error():
    with pytest.raises(DataError, match="at least one sample"):
        Bootstrap().score(spec(2), np.zeros(0, np.int32), {"probabilities": np.zeros((0, 2), np.float32)})


def test_ten_thousand_samples_take_seconds():
    targets, outputs = probabilities(10_000, 20)
    start = time.perf_counter()
    Bootstrap(1000).score(spec(20), targets, {"probabilities": outputs})
    assert time.perf_counter() - start < 15
