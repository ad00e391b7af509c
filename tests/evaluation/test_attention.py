"""Attention over the picture, with a querying text and with learned queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmkeras.evaluation import attention
from mmkeras.evaluation.attention import attention_figures
from mmkeras.evaluation.samples import Samples
from mmkeras.model import attention_model, build_model, modality_specs, task_spec
from tests.tiny import tiny_inputs, tiny_model_config

pytestmark = pytest.mark.tfio


@pytest.mark.parametrize(
    ("fusion", "layer"), [("cross_attention", "fusion_cross_1"), ("attention_pooling", "fusion_pooling_1")]
)
def test_the_scores_drawn_are_those_of_the_picture(tmp_path: Path, monkeypatch, fusion: str, layer: str):
    config = tiny_model_config(tmp_path, fusion=fusion)
    model, specs, task = build_model(config), modality_specs(config), task_spec(config)
    inputs = tiny_inputs(2)
    raw = ({"text": "what is red ?"}, {"text": "what shape ?"})
    samples = Samples(inputs, np.zeros(2, np.int32), np.ones(2, np.float32), raw=raw)
    drawn = []
    monkeypatch.setattr(
        attention, "attention_figure", lambda image, scores, grid, **words: drawn.append((scores, grid, words))
    )
    assert list(attention_figures(model, samples, specs, task, [1])) == ["Attention 1"]
    ((scores, grid, words),) = drawn
    assert grid == (4, 4)
    assert words["question"] == "what shape ?"
    known = attention_model(model)
    assert known is not None
    # The picture's 16 cells come first in the keys: the text queries, or follows it.
    expected = np.asarray(known.predict(inputs, verbose=0)[layer])[1, ..., :16]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_model_without_attention_has_no_picture(tmp_path: Path):
    config = tiny_model_config(tmp_path, fusion="concat")
    samples = Samples(tiny_inputs(2), np.zeros(2, np.int32), np.ones(2, np.float32))
    assert attention_figures(build_model(config), samples, modality_specs(config), task_spec(config), [0]) == {}
