"""One draw moves picture and mask together, and the text stays with both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.data.transforms import augment
from mmkeras.modalities import specs_of
from mmkeras.modalities.image.records import draw_move
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.segmentation.masks import NOT_ASKED
from mmkeras.tasks.segmentation.spec import Config

pytestmark = pytest.mark.tfio

SIZE = (32, 48)
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sky", "road", "car", "tree")
LABELS = WORDS[5:]
PICTURE = ImageConfig(size=SIZE, brightness=0.02, flip=True, crop=0.5, zoom=0.2, translate=0.1, rotate=10.0)


def test_picture_mask_and_words_stay_together(tmp_path: Path) -> None:
    """The red of a picture shows the encoded class of each pixel, its green the class that the text names."""
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    text = TextConfig(max_length=4, vocabulary=str(tmp_path / "vocabulary.txt"))
    configs: dict[str, Any] = {"image": PICTURE, "text": text}
    specs = specs_of(configs)
    task = Config(LABELS, prompt="text").spec(specs)
    rng = np.random.default_rng(0)
    rows, masks = [], []
    for number in range(8):
        # Columns of one class each are wide enough for interpolated edges to be few.
        mask = np.repeat(rng.integers(0, 4, (2, 3)), 16, axis=0).repeat(16, axis=1).astype(np.uint8)
        asked = LABELS[number % 4]
        masks.append(task.encode({"mask": mask, "asked": [asked]}))
        picture = np.stack([mask * 60, np.full_like(mask, number % 4 * 60), mask * 60], axis=-1)
        pixels = specs["image"].inputs(picture)
        rows.append({**pixels, **specs["text"].inputs(asked)})
    inputs = {name: tf.stack([row[name] for row in rows]) for name in rows[0]}
    seen = set()
    for seed in range(3):
        given = tf.constant([seed, 7])
        moved, targets = augment(inputs, {"mask": tf.stack(masks)}, specs, configs, task, given)
        picture, mask = moved["image"].numpy().astype(int), targets["mask"].numpy()
        for number in range(8):
            named = LABELS[number % 4]
            assert moved["text_token_ids"][number, 1] == WORDS.index(named)
            assert (abs(picture[number, ..., 1] - number % 4 * 60) < 12).all(), "the picture of another row"
            same = abs(picture[number, ..., 0] - mask[number] % NOT_ASKED * 60.0) < 12
            assert same.mean() > 0.85, "the mask did not move with its picture"
            asked = mask[number] < NOT_ASKED
            np.testing.assert_array_equal(asked, mask[number] % NOT_ASKED == number % 4)
            seen.add(mask[number].tobytes())
    assert len(seen) > 20


def test_a_crop_never_leaves_the_picture() -> None:
    config = ImageConfig(size=SIZE, crop=0.6)
    move = draw_move(config, tf.constant(500), tf.constant([1, 2]))
    assert move.zoom is not None
    assert move.up is not None
    assert move.left is not None
    kept = 1.0 / move.zoom.numpy()
    assert 0.4 <= kept.min() < 0.45
    assert kept.max() > 0.95
    for share in (move.up.numpy(), move.left.numpy()):
        assert (abs(share) + kept / 2 <= 0.5 + 1e-6).all()
        assert abs(share).max() > 0.2
