from __future__ import annotations

import numpy as np
import pytest

from export.foreign.outputs import Changes, Outputs, parse_changes
from mmkeras.core.errors import ConfigError

RNG = np.random.default_rng(0)
ROWS = RNG.uniform(size=(4, 3))


def paired(file, reference, changes=None, decision="", declared=None):
    return Outputs.of(file, reference, declared or {}, (), changes or Changes(), decision)


def test_maps_in_another_layout_are_moved_and_said():
    maps = RNG.uniform(size=(2, 8, 9, 5))
    found = paired({"maps": np.moveaxis(maps, -1, 1)}, {"maps": maps})
    assert (found.moved, found.problems, found.decision) == ({"maps": "last"}, [], None)
    assert "channels are moved last" in found.said[0]
    assert np.array_equal(found.adapted("file", {"maps": np.moveaxis(maps, -1, 1)})["maps"], maps)


def test_single_dimensions_of_a_decision_do_not_matter():
    found = paired({"a": ROWS[:, None, None]}, {"b": ROWS})
    assert found.problems == []
    assert found.adapted("file", {"a": ROWS[:, None, None]})["a"].shape == (4, 3)


def test_decisions_are_read_from_probabilities_rather_than_labels():
    outputs = {"label": np.arange(4), "probabilities": ROWS, "boxes": RNG.uniform(size=(4, 9, 4))}
    found = paired(outputs, outputs)
    assert found.decision is not None
    assert found.decision.file == "probabilities"
    other = paired(outputs, outputs, decision="label")
    assert other.decision is not None
    assert other.decision.file == "label"
    with pytest.raises(ConfigError, match="--decision"):
        paired(outputs, outputs, decision="probability")


def test_declared_changes_are_applied_to_the_decision_alone():
    logits = np.concatenate([np.zeros((4, 1)), np.log(ROWS)], axis=1)
    changes = parse_changes(["file=softmax"], "file")
    found = paired({"p": logits}, {"p": ROWS}, changes)
    assert found.problems == []
    expected = ROWS / (1 + ROWS.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.adapted("file", {"p": logits})["p"], expected)
    np.testing.assert_array_equal(found.adapted("reference", {"p": ROWS})["p"], ROWS)
    with pytest.raises(ConfigError, match="--background"):
        parse_changes([], "both")


def test_other_shapes_are_a_problem_and_not_compared():
    found = paired({"p": ROWS[:, :2]}, {"p": ROWS})
    assert (found.pairs, found.problems) == ([], ["output p: FILE gives (B, 2), the reference (B, 3)"])
