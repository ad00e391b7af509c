from __future__ import annotations

import numpy as np
import pytest

from export.foreign.decisions import decisions_for
from mmkeras.core.errors import ConfigError

WORDS = np.array(["cat", "dog", "cat", "emu"])
ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6]])


def test_accuracy_and_flips_of_classes():
    found = decisions_for(3, ["animal"], [WORDS], ())
    assert found.task.finish(found.evidence(slice(0, 4), ROWS))["accuracy"] == 0.75
    assert "ASSUMED in the order of their names: cat, dog, emu" in found.said
    other = ROWS[[0, 1, 2, 0]]
    assert found.flips(ROWS, other).tolist() == [False, False, False, True]
    assert found.margins(ROWS, other)[3] == pytest.approx(0.4)


def test_logits_decide_as_their_softmax():
    found = decisions_for(3, ["animal"], [WORDS], ())
    assert not found.flips(ROWS, 9 * np.log(ROWS)).any()


def test_labels_come_from_a_list_and_numbers_are_places():
    found = decisions_for(3, ["animal"], [WORDS], ("emu", "cat", "dog"))
    assert found.targets is not None
    assert found.targets.tolist() == [1, 2, 1, 0]
    numbers = decisions_for(3, ["animal"], [np.array(["2", "0", "1", "1"])], ())
    assert numbers.targets is not None
    assert numbers.targets.tolist() == [2, 0, 1, 1]
    counted = decisions_for(11, ["class"], [np.array([str(n) for n in range(1, 12)])], ())
    assert counted.labels[-1] == "11"


def test_one_number_is_two_classes_or_a_regression():
    two = decisions_for(1, ["sick"], [np.array(["no", "yes", "no", "yes"])], ())
    rows = np.array([[0.1], [0.9], [0.6], [0.8]])
    assert (two.kind, two.task.finish(two.evidence(slice(0, 4), rows))["accuracy"]) == ("binary", 0.75)
    assert two.flips(rows, np.array([[-3.0], [2.0], [1.0], [-1.0]])).tolist() == [False, False, False, True]
    many = decisions_for(1, ["price"], [np.array(["1.5", "2.5", "4", "8"])], ())
    assert (many.kind, many.task.metric) == ("numbers", "relative_mae")


@pytest.mark.parametrize(
    ("width", "columns", "cells", "labels", "words"),
    [
        (5, ["a"], [WORDS], (), "3 different values and the output 5 numbers"),
        (3, ["a"], [WORDS], ("cat", "dog"), "expected 3 names"),
        (3, ["a"], [WORDS], ("cat", "dog", "fox"), "'emu', which is none of the 3 classes"),
        (3, ["a", "b"], [WORDS, WORDS], (), "column 'a' holds text"),
        (3, ["a", "b"], [np.ones(4)] * 2, (), "--target names 2 columns"),
    ],
)
def test_targets_that_do_not_fit_are_refused(width, columns, cells, labels, words):
    with pytest.raises(ConfigError, match=words):
        decisions_for(width, columns, cells, labels)
