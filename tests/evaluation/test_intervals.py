import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from mmkeras.core.errors import DataError
from mmkeras.evaluation.intervals import BLOCKS, SLOW_RESAMPLES, Bootstrap, paired_error
from mmkeras.tasks._evidence import rows_of
from mmkeras.tasks._metrics import weighted_sums
from mmkeras.tasks.classification.spec import Spec as Classification
from tests.evaluation.problems import numbers, numbers_task, probabilities, scored, several, several_task


class SlowClassification(Classification):
    """The same F1 from the rows themselves instead of sums."""

    def of_sums(self, sums):
        return {"accuracy": super().of_sums(sums)["accuracy"]}

    def of_rows(self, evidence, weights):
        sums = {name: weighted_sums(weights, rows) for name, rows in self.sums(evidence).items()}
        return {"own_f1": super().of_sums(sums)["macro_f1"]}


def spec(classes: int, kind: type[Classification] = Classification) -> Classification:
    return kind(labels=tuple(f"class {i}" for i in range(classes)))


def test_width_is_that_of_a_share():
    targets, outputs = probabilities(2000, 4)
    found = scored(Bootstrap(2000), spec(4), targets, {"probabilities": outputs}).interval("accuracy")
    share = found.value
    expected = stats.norm.ppf(0.975) * np.sqrt(share * (1 - share) / 2000)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)
    assert found.low < share < found.high


def test_every_draw_is_the_metric_of_a_resample():
    targets, outputs = probabilities(300, 5)
    bootstrap = Bootstrap(5, seed=3)
    draws = scored(bootstrap, spec(5), targets, {"probabilities": outputs}).draws
    rows = np.concatenate(list(bootstrap.counts(300))).astype(int)
    assert (rows.sum(1) == 300).all()
    for i, counts in enumerate(rows):
        truth, said = np.repeat(targets, counts), np.repeat(outputs.argmax(1), counts)
        assert draws["accuracy"][i] == pytest.approx(sk.accuracy_score(truth, said), abs=1e-6)
        assert draws["macro_f1"][i] == pytest.approx(sk.f1_score(truth, said, average="macro"), abs=1e-6)
        assert draws["balanced_accuracy"][i] == pytest.approx(sk.balanced_accuracy_score(truth, said), abs=1e-6)
        assert draws["mcc"][i] == pytest.approx(sk.matthews_corrcoef(truth, said), abs=1e-5)
        loss = sk.log_loss(truth, np.repeat(outputs, counts, axis=0), labels=range(5))
        assert draws["cross_entropy"][i] == pytest.approx(loss, rel=1e-5)


def test_slow_and_fast_draws_agree():
    targets, outputs = probabilities(200, 3)
    bootstrap = Bootstrap(150)
    fast = scored(bootstrap, spec(3), targets, {"probabilities": outputs})
    slow = scored(bootstrap, spec(3, SlowClassification), targets, {"probabilities": outputs})
    assert slow.methods == {"accuracy": "bootstrap", "own_f1": "bootstrap-slow"}
    assert len(slow.draws["own_f1"]) == SLOW_RESAMPLES
    np.testing.assert_allclose(slow.draws["own_f1"], fast.draws["macro_f1"][:SLOW_RESAMPLES], atol=1e-6)


def test_a_slow_metric_is_known_without_each_group():
    targets, outputs = probabilities(120, 3)
    groups = np.arange(120) % 12
    found = (
        Bootstrap(20)
        .score(
            spec(3, SlowClassification),
            spec(3, SlowClassification).evidence(targets, {"probabilities": outputs}),
            None,
            groups,
        )
        .left_out["own_f1"]
    )
    expected = [
        spec(3).score(targets[groups != group], {"probabilities": outputs[groups != group]})["macro_f1"]
        for group in range(12)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_slow_metric_is_known_without_blocks_of_many_groups():
    targets, outputs = several(250)
    found = scored(Bootstrap(20), several_task(), targets, {"probabilities": outputs})
    assert len(found.left_out["mean_average_precision"]) == BLOCKS
    assert len(found.draws["mean_average_precision"]) == 20
    error = np.sqrt((BLOCKS - 1) * found.left_out["mean_average_precision"].var())
    assert error == pytest.approx(found.draws["mean_average_precision"].std(), rel=0.5)


def test_the_error_of_few_groups_of_a_ranked_metric_is_not_left_to_100_resamples():
    # One group of 40 ranks its positives last. Resamples miss it, the metric without it does not.
    targets, outputs = several(320)
    groups = np.arange(320) // 8
    outputs[groups == 0] = 1 - outputs[groups == 0]
    found = scored(Bootstrap(), several_task(), targets, {"probabilities": outputs}, None, groups)
    left_out = found.left_out["mean_average_precision"]
    jackknife = np.sqrt(39 / 40 * np.square(left_out - left_out.mean()).sum())
    interval = found.interval("mean_average_precision")
    value = found.values["mean_average_precision"]
    # On the logit scale, with no more degrees of freedom than the uneven influence of the groups allows.
    half = (np.log(interval.high / (1 - interval.high)) - np.log(interval.low / (1 - interval.low))) / 2
    assert half * value * (1 - value) > 1.05 * stats.t.ppf(0.975, 39) * jackknife


def test_all_right_has_an_exact_interval():
    targets = np.arange(40) % 2
    outputs = np.eye(2, dtype=np.float32)[targets]
    found = scored(Bootstrap(50), spec(2), targets, {"probabilities": outputs}).interval("accuracy")
    oracle = stats.binomtest(40, 40).proportion_ci(0.95, method="exact")
    assert (found.value, found.high, found.method) == (1.0, 1.0, "exact")
    assert found.low == pytest.approx(oracle.low)
    wrong = scored(Bootstrap(50), spec(2), 1 - targets, {"probabilities": outputs}).interval("accuracy")
    assert wrong.high == pytest.approx(1 - oracle.low)


def test_a_paired_difference_is_narrower_than_two_intervals():
    targets, outputs = probabilities(1000, 4)
    changed = outputs.copy()
    changed[:30] = changed[:30, ::-1]
    bootstrap = Bootstrap(500)
    first = scored(bootstrap, spec(4), targets, {"probabilities": outputs})
    second = scored(bootstrap, spec(4), targets, {"probabilities": changed})
    difference = first.difference(second, "accuracy")
    single = first.interval("accuracy")
    assert difference.high - difference.low < 0.6 * (single.high - single.low)
    same = first.difference(first, "accuracy")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


KINDS = {
    "one label": (spec(3), *probabilities(120, 3), "probabilities"),
    "one label, slow": (spec(3, SlowClassification), *probabilities(120, 3), "probabilities"),
    "several labels": (several_task(), *several(), "probabilities"),
    "numbers": (numbers_task(), *numbers(), "value"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_copies_within_a_group_tell_nothing_new(kind):
    task, targets, values, output = KINDS[kind]
    bootstrap, times = Bootstrap(60), np.arange(len(targets)) % 3 + 1
    copies = np.random.default_rng(0).permutation(np.repeat(np.arange(len(targets)), times))
    # Three copies of a third of the weight each weigh what one sample does.
    single = scored(bootstrap, task, targets, {output: values})
    several = scored(bootstrap, task, targets[copies], {output: values[copies]}, 1 / times[copies], copies)
    assert several.methods == single.methods
    for name, interval in single.intervals().items():
        found = several.interval(name)
        np.testing.assert_allclose(
            (found.value, found.low, found.high), (interval.value, interval.low, interval.high), rtol=2e-3, atol=1e-5
        )
    changed = values[::-1]
    one, other = (task.evidence(targets, {output: each}) for each in (values, changed))
    error = paired_error(task, one, other, resamples=60)
    assert error > 0
    grouped = rows_of(one, copies), rows_of(other, copies)
    assert paired_error(task, *grouped, 1 / times[copies], copies, resamples=60) == pytest.approx(error, rel=2e-3)
    assert paired_error(task, one, one) == 0.0


def test_groups_of_like_samples_widen_an_interval():
    groups = np.repeat(np.arange(40), 25)
    right = np.random.default_rng(0).random(40)[groups] > 0.3
    targets, outputs = np.where(right, 0, 1), np.tile(np.asarray([[0.9, 0.1]], np.float32), (1000, 1))
    bootstrap = Bootstrap(400)
    alone = scored(bootstrap, spec(2), targets, {"probabilities": outputs}).interval("accuracy")
    found = scored(bootstrap, spec(2), targets, {"probabilities": outputs}, None, groups).interval("accuracy")
    assert (found.high - found.low) / (alone.high - alone.low) == pytest.approx(5, rel=0.15)


def test_the_error_of_a_mean_is_that_of_the_groups_means():
    targets, values = numbers()
    groups = np.arange(300) % 12
    task, outputs = numbers_task(), {"value": values}
    means = np.asarray([np.abs(values - targets)[groups == group].mean() for group in range(12)])
    bootstrap = Bootstrap(4000)
    found = scored(bootstrap, task, targets, outputs, None, groups)
    exact = scored(bootstrap, task, targets, {"value": targets}, None, groups)
    assert found.difference_error(exact, "mae") == pytest.approx(means.std(ddof=1) / np.sqrt(12), rel=0.03)


def test_one_group_has_no_interval_and_no_error():
    targets, outputs = probabilities(50, 3)
    groups = np.zeros(50, np.int64)
    found = scored(Bootstrap(50), spec(3), targets, {"probabilities": outputs}, None, groups).intervals()
    assert {interval.to_json()["low"] for interval in found.values()} == {None}
    one, other = (spec(3).evidence(targets, {"probabilities": each}) for each in (outputs, outputs[::-1]))
    assert paired_error(spec(3), one, other, None, groups) == 0


def test_all_right_in_few_groups_says_little():
    targets, groups = np.arange(1000) % 2, np.arange(1000) % 5
    outputs = np.eye(2, dtype=np.float32)[targets]
    found = scored(Bootstrap(50), spec(2), targets, {"probabilities": outputs}, None, groups).intervals()
    oracle = stats.binomtest(5, 5).proportion_ci(0.95, method="exact")
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        assert (found[name].high, found[name].method) == (1.0, "exact")
        assert found[name].low == pytest.approx(oracle.low)


def test_the_interval_of_a_correlation_stays_between_its_limits():
    rng, targets = np.random.default_rng(0), np.arange(40) % 2
    said = np.where(rng.random(40) < 0.05, 1 - targets, targets)
    found = scored(Bootstrap(200), spec(2), targets, {"probabilities": np.eye(2, dtype=np.float32)[said]}).intervals()
    assert -1 < found["mcc"].low < found["mcc"].value < found["mcc"].high < 1
    right = scored(Bootstrap(50), spec(2), targets, {"probabilities": np.eye(2, dtype=np.float32)[targets]}).intervals()
    assert (right["mcc"].high, right["mcc"].method) == (1.0, "exact")
    assert 0.7 < right["mcc"].low < 0.95


@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "exact_match"])
def test_a_share_of_0_has_a_width(name):
    task, truth = several_task(), np.tile(np.asarray([[1, 0, 0, 0]], np.float32), (40, 1))
    outputs = {"probabilities": np.tile(np.asarray([[0.1, 0.9, 0.1, 0.1]], np.float32), (40, 1))}
    found = scored(Bootstrap(50), task, truth, outputs).interval(name)
    oracle = stats.binomtest(0, 40).proportion_ci(0.95, method="exact")
    assert (found.value, found.low, found.method) == (0.0, 0.0, "exact")
    assert found.high == pytest.approx(oracle.high)


def test_micro_f1_of_0_counts_the_samples_with_a_label():
    task, truth = several_task(), np.zeros((40, 4), np.float32)
    truth[:6, 0] = 1
    outputs = {"probabilities": np.full((40, 4), 0.1, np.float32)}
    found = scored(Bootstrap(50), task, truth, outputs).interval("micro_f1")
    assert found.high == pytest.approx(stats.binomtest(0, 6).proportion_ci(0.95, method="exact").high)


def test_two_models_that_are_right_on_the_same_samples_may_still_differ():
    targets, outputs = np.arange(30) % 2, np.eye(2, dtype=np.float32)[np.arange(30) % 2]
    first, second = (
        scored(Bootstrap(50), spec(2), targets, {"probabilities": each}) for each in (outputs, outputs * 0.9)
    )
    bound = 1 - stats.binomtest(30, 30).proportion_ci(0.95, method="exact").low
    found = first.difference(second, "accuracy")
    assert (found.value, found.method) == (0.0, "exact")
    assert (found.low, found.high) == pytest.approx((-bound, bound))


def test_samples_without_weight_are_in_no_group():
    targets, outputs = probabilities(60, 3)
    weights, groups = (np.arange(60) < 20).astype(np.float32), np.arange(60) // 4
    found = scored(Bootstrap(50), spec(3), targets, {"probabilities": outputs}, weights, groups)
    alone = scored(Bootstrap(50), spec(3), targets[:20], {"probabilities": outputs[:20]}, None, groups[:20])
    assert found.support == alone.support
    np.testing.assert_allclose(found.draws["accuracy"], alone.draws["accuracy"])


def test_the_seed_decides():
    targets, outputs = probabilities(100, 3)
    arguments = (spec(3), spec(3).evidence(targets, {"probabilities": outputs}))
    assert Bootstrap(50).score(*arguments).intervals() == Bootstrap(50).score(*arguments).intervals()
    assert Bootstrap(50).score(*arguments).intervals() != Bootstrap(50, seed=1).score(*arguments).intervals()


def test_weights_count_in_values_and_draws():
    targets, outputs = probabilities(200, 3)
    weights = np.where(np.arange(200) < 100, 1.0, 0.0).astype(np.float32)
    half = scored(Bootstrap(20), spec(3), targets, {"probabilities": outputs}, weights)
    alone = scored(Bootstrap(20), spec(3), targets[:100], {"probabilities": outputs[:100]})
    assert half.values["accuracy"] == pytest.approx(alone.values["accuracy"])
    assert half.draws["accuracy"].mean() == pytest.approx(alone.values["accuracy"], abs=0.05)
    assert half.support.effective == 100


@settings(max_examples=40, deadline=None)
@example(samples=2, classes=2, seed=353, confidence=0.5)  # an MCC of -1
@given(
    samples=st.integers(2, 60),
    classes=st.integers(2, 6),
    seed=st.integers(0, 1000),
    confidence=st.floats(0.5, 0.99),
)
def test_intervals_are_ordered_and_in_range(samples, classes, seed, confidence):
    targets, outputs = probabilities(samples, classes, seed)
    found = (
        Bootstrap(60, confidence, seed)
        .score(spec(classes), spec(classes).evidence(targets, {"probabilities": outputs}))
        .intervals()
    )
    for name, interval in found.items():
        assert interval.low <= interval.high
        if name != "cross_entropy":
            assert interval.low >= (-1 if name == "mcc" else 0)
            assert interval.high <= 1 + 1e-6


def test_no_samples_is_an_error():
    with pytest.raises(DataError, match="at least one sample"):
        scored(Bootstrap(), spec(2), np.zeros(0, np.int32), {"probabilities": np.zeros((0, 2), np.float32)})


def test_ten_thousand_samples_take_seconds():
    targets, outputs = probabilities(10_000, 20)
    start = time.perf_counter()
    scored(Bootstrap(1000), spec(20), targets, {"probabilities": outputs})
    assert time.perf_counter() - start < 15
