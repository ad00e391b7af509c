"""The limits that files are held to."""

from __future__ import annotations

import pytest

from export.verification.gates import GATES, tightened


def test_a_search_holds_a_share_of_the_limits() -> None:
    tight = tightened(GATES, 0.6)
    assert tight["int8"].metric_drop == pytest.approx(0.003)
    assert tight["int8"].noise == pytest.approx(0.3)
    assert tight["float16"].flips == pytest.approx(0.003)
    assert tight["float32"].exact
