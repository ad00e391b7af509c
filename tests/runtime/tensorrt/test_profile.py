from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.core.errors import BundleError, ConfigError
from mmkeras.runtime.tensorrt.sidecar import BatchRange, Shapes


@pytest.mark.parametrize(("text", "sizes"), [("1", (1, 1, 1)), ("8", (8, 8, 8)), ("1:4:8", (1, 4, 8))])
def test_batches(text: str, sizes: tuple[int, int, int]):
    batch = BatchRange.parse(text)
    assert (batch.min, batch.opt, batch.max) == sizes
    assert BatchRange.parse(str(batch)) == batch


@given(st.text(alphabet="0123456789:-x ²", max_size=8))
def test_any_text_is_a_range_or_a_clear_error(text: str):
    try:
        batch = BatchRange.parse(text)
    except ConfigError:
        return
    assert 1 <= batch.min <= batch.opt <= batch.max


def test_the_profile_of_an_input():
    batch = BatchRange(1, 4, 8)
    assert batch.shapes("x", (-1, 12)) == Shapes((1, 12), (4, 12), (8, 12))
    assert batch.shapes("present", (-1,)) == Shapes((1,), (4,), (8,))
    assert BatchRange(2, 2, 2).shapes("x", (2, 3)) == Shapes((2, 3), (2, 3), (2, 3))
    with pytest.raises(ConfigError, match=r"fixed batch size 1 .* Give --batch 1"):
        batch.shapes("x", (1, 12))
    with pytest.raises(BundleError, match=r"Input x: .*dimensions \[2\] are dynamic"):
        batch.shapes("x", (-1, 3, -1))
    with pytest.raises(BundleError, match="it has no dimension"):
        batch.shapes("x", ())
