from __future__ import annotations

from mmkeras.data.coverage import LARGEST_SHARES, coverage, warnings
from mmkeras.media.text.vocabulary import SPECIAL_TOKENS
from mmkeras.modalities.image.spec import Spec as Image
from mmkeras.modalities.text.spec import Spec as Text

SPECS = {"image": Image("image"), "text": Text("text", 6, (*SPECIAL_TOKENS, "a", "b"))}


def test_what_a_model_does_not_see_is_measured_and_warned_of():
    found = coverage(SPECS, [{"image": b"", "text": "a b a b a b a b"}, {"image": None, "text": "a x"}, {"text": None}])
    assert found == {"text": {"unknown": 0.1, "cut": 0.4}}
    unknown, cut = warnings(found, "the split train")
    assert "text: in the split train, 10.0% of the tokens are unknown" in unknown
    assert "40.0%" in cut
    assert "max_length" in cut


def test_small_shares_are_no_warning():
    assert warnings({"text": dict(LARGEST_SHARES)}, "the split train") == []


def test_nothing_is_read_where_nothing_can_be_measured():
    assert coverage({"image": Image("image")}, iter([{"image": 1 / 2}])) == {}
