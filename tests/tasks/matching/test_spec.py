"""Recall, ranks, flips and answers of the matching task; a search by brute force is the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.matching.recall import ranks, unit
from mmkeras.tasks.matching.spec import Config, Spec

SPEC = Spec(("image", "text"), 4)


def _outputs(image: np.ndarray, text: np.ndarray) -> dict[str, np.ndarray]:
    return {"image_embedding": image, "text_embedding": text, "similarity": np.ones((len(image), 1))}


def _dataset(pictures: int = 7, captions: int = 3, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return encoded pairs and outputs: pictures with several captions each, near their picture."""
    rng = np.random.default_rng(seed)
    image = np.repeat(unit(rng.normal(size=(pictures, 4))), captions, axis=0)
    text = unit(image + rng.normal(scale=0.7, size=image.shape))
    names = [
        {"pair": f"p{row // captions}", "image": f"p{row // captions}", "text": f"t{row}"} for row in range(len(text))
    ]
    return np.stack([SPEC.encode(name) for name in names]), _outputs(image, text)


def _by_force(targets: np.ndarray, outputs: dict[str, np.ndarray], k: int) -> tuple[float, float]:
    """Return recall at k, image to text and text to image, with loops and sorted lists."""
    image, text, group = outputs["image_embedding"], outputs["text_embedding"], targets[:, 0]
    pictures = {int(g): image[row] for row, g in reversed(list(enumerate(group)))}
    found = []
    for row in range(len(text)):
        order = sorted(pictures, key=lambda g: -float(pictures[g] @ text[row]))
        found.append(int(group[row]) in order[:k])
    forth = []
    for own, picture in pictures.items():
        # The best own caption against all captions of others.
        others = [float(picture @ text[row]) for row in range(len(text)) if group[row] != own]
        best = max(float(picture @ text[row]) for row in range(len(text)) if group[row] == own)
        forth.append(sum(each > best for each in others) < k)
    return float(np.mean(forth)), float(np.mean(found))


@pytest.mark.parametrize("seed", range(3))
def test_recall_is_that_of_a_search_by_force(seed: int):
    targets, outputs = _dataset(seed=seed)
    score = SPEC.score(targets, outputs)
    for k in (1, 5):
        forth, back = _by_force(targets, outputs, k)
        assert (score[f"image_to_text_recall_{k}"], score[f"text_to_image_recall_{k}"]) == pytest.approx((forth, back))
    assert 0 < score["text_to_image_recall_1"] < 1
    shares = [score[f"{way}_recall_{k}"] for way in SPEC.ways for k in (1, 5, 10)]
    assert score["mean_recall"] == pytest.approx(np.mean(shares))


def test_median_ranks():
    targets = np.stack([SPEC.encode(name) for name in "abc"])
    axis = np.eye(4, dtype="float32")
    # The text of a is nearest to the picture of b, then c, then a; the others find theirs.
    text = np.stack([axis[1] + 0.5 * axis[2] + 0.1 * axis[0], axis[1], axis[2]])
    score = SPEC.score(targets, _outputs(axis[:3], text))
    assert (score["text_to_image_median_rank"], score["text_to_image_recall_1"]) == (1, pytest.approx(2 / 3))
    assert SPEC.wrongness(SPEC.evidence(targets, _outputs(axis[:3], text))).argmax() == 0
    alone = SPEC.score(targets, _outputs(axis[:3], text), np.array([5.0, 1.0, 1.0]))
    assert alone["text_to_image_median_rank"] == 3


def test_equal_vectors_are_never_found():
    targets, outputs = _dataset()
    outputs["image_embedding"] = np.tile(outputs["image_embedding"][:1], (len(targets), 1))
    score = SPEC.score(targets, outputs)
    assert (score["text_to_image_recall_5"], score["text_to_image_median_rank"]) == (0, 7)
    # Nor are vectors that differ by rounding only.
    outputs["image_embedding"] += np.random.default_rng(0).normal(scale=1e-7, size=outputs["image_embedding"].shape)
    assert SPEC.score(targets, outputs)["text_to_image_recall_5"] == 0


def test_vectors_that_are_not_finite_fail():
    targets, outputs = _dataset()
    whole = SPEC.score(targets, outputs)
    outputs["text_embedding"][0] = np.nan
    broken = SPEC.score(targets, outputs)
    assert broken["text_to_image_recall_10"] < whole["text_to_image_recall_10"]
    assert broken["image_to_text_recall_1"] <= whole["image_to_text_recall_1"]
    everything = {name: np.full_like(value, np.nan) for name, value in outputs.items()}
    score = SPEC.score(targets, everything)
    assert score["mean_recall"] == 0
    assert np.isnan(score["text_to_image_median_rank"])


def test_a_large_gallery_is_searched_in_blocks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    queries, gallery = unit(rng.normal(size=(9, 3))), unit(rng.normal(size=(8, 3)))
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 6])
    of = np.array([*groups, 99])
    whole = ranks(queries, of, gallery, groups)
    monkeypatch.setattr("mmkeras.tasks.matching.recall._BLOCK", 16)
    np.testing.assert_array_equal(ranks(queries, of, gallery, groups), whole)
    assert np.isinf(whole[-1])  # nothing belongs to it


def test_a_flip_is_another_top_answer():
    _, outputs = _dataset(captions=1)
    moved = {name: value.copy() for name, value in outputs.items()}
    moved["text_embedding"][[0, 1]] = outputs["text_embedding"][[1, 0]]
    flips = SPEC.flips(outputs, moved)
    assert flips[:2].all()
    assert (SPEC.margins(outputs, moved)[flips] > 0).all()
    slightly = {**outputs, "text_embedding": outputs["text_embedding"] * (1 + 1e-7)}
    assert not SPEC.flips(outputs, slightly).any()
    assert not SPEC.margins(outputs, slightly).any()


def test_copies_of_a_picture_are_the_same_answer():
    _, outputs = _dataset(pictures=3, captions=2)
    swapped = {name: value.copy() for name, value in outputs.items()}
    swapped["image_embedding"][[0, 1]] = outputs["image_embedding"][[1, 0]]
    assert not SPEC.flips(outputs, swapped).any()


def test_another_judgement_of_the_pair_is_a_flip():
    spec = Spec(("image", "text"), 4, pairs=True)
    _, outputs = _dataset(captions=1)
    before = {**outputs, "match": np.full((7, 1), 0.9)}
    after = {**outputs, "match": np.array([[0.9]] * 6 + [[0.45]])}
    np.testing.assert_array_equal(spec.flips(before, after), [False] * 6 + [True])
    assert spec.margins(before, after)[-1] == pytest.approx(0.8)
    assert spec.decode(after)[-1]["match"] == pytest.approx(0.45)


def test_equal_names_are_one_item_and_others_are_not():
    first, second = SPEC.encode("7"), SPEC.encode(7)
    np.testing.assert_array_equal(first, second)
    assert len(set(first.tolist())) == 1
    assert (SPEC.encode("8") != first).all()
    assert (first >= 0).all()


def test_the_towers_must_be_modalities_of_the_model():
    image = ImageConfig(size=(32, 32)).spec("image")
    with pytest.raises(ConfigError, match="no modality 'text'"):
        Config().spec({"image": image})
