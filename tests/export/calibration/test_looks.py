"""Real data of any kind passes, noise of any kind does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.calibration.audit import check_looks
from export.calibration.checks import Check
from mmkeras.media.points.radar_cloud import POINT_FIELDS
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.radar.spec import Spec as RadarSpec
from mmkeras.modalities.text.spec import Spec as TextSpec

Inputs = dict[str, np.ndarray]
N = 40
SIZE = (32, 48)
WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "the",
    "red",
    "blue",
    "car",
    "bus",
    "is",
    "was",
    "left",
    "of",
)
SENTENCES = ("the red car is left of a bus", "a blue bus was right of the car", "the car was red", "a bus is blue")


def failed(inputs: Inputs, training: Inputs, spec: object) -> list[str]:
    return [str(c) for c in check_looks(inputs, training, {"x": spec}) if not c.passed]  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def pictures(easy_vqa_images: list[Path]) -> tuple[ImageSpec, Inputs, Inputs]:
    spec = ImageSpec("camera", *SIZE)

    def read(paths: list[Path]) -> Inputs:
        rows = [spec.inputs(path.read_bytes()) for path in paths]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return spec, read(easy_vqa_images[:N]), read(easy_vqa_images[N : 2 * N])


def changed(pictures: tuple[ImageSpec, Inputs, Inputs], values: np.ndarray) -> list[str]:
    spec, training, real = pictures
    pixels = np.clip(np.rint(values), 0, 255).astype("uint8")
    return failed({**real, "camera": pixels}, training, spec)


def test_real_pictures_pass_in_any_light(pictures):
    rng = np.random.default_rng(0)
    pixels = pictures[2]["camera"].astype(float)
    for light in (-80, -40, 0, 40, 80):
        assert not changed(pictures, pixels + light)
    assert not changed(pictures, (pixels - 128) * 0.2 + 128)
    assert not changed(pictures, np.repeat(pixels.mean(-1, keepdims=True), 3, -1))
    assert not changed(pictures, pixels + rng.normal(0, 20, pixels.shape))
    scene = np.add.outer(np.linspace(0, 100, SIZE[0]), 60 * np.sin(np.linspace(0, 9, SIZE[1])))
    other = np.repeat(np.stack([np.roll(scene, n, 1) for n in range(N)])[..., None], 3, -1)
    assert not changed(pictures, 90 + other)


def test_pictures_of_nothing_are_refused(pictures):
    rng = np.random.default_rng(0)
    pixels = pictures[2]["camera"]
    shape = pixels.shape
    neighbours = "likeness of neighbouring pixels"
    assert neighbours in changed(pictures, rng.integers(0, 256, shape))[0]
    assert neighbours in changed(pictures, rng.normal(128, 40, shape))[0]
    shuffled = np.stack([rng.permutation(each.reshape(-1, 3)).reshape(each.shape) for each in pixels])
    assert neighbours in changed(pictures, shuffled)[0]
    assert "one plain colour" in changed(pictures, np.broadcast_to(rng.integers(0, 256, (N, 1, 1, 3)), shape))[0]
    blots = rng.integers(0, 256, (N, 4, 6, 3)).astype("uint8")
    smooth = [np.asarray(Image.fromarray(each).resize(SIZE[::-1], Image.Resampling.BILINEAR)) for each in blots]
    assert "on one axis" in changed(pictures, np.stack(smooth))[0]
    partly = pixels.copy()
    partly[: N // 5] = rng.integers(0, 256, partly[: N // 5].shape)
    assert neighbours in changed(pictures, partly)[0]
    partly = pixels.copy()
    partly[0] = 0
    assert not changed(pictures, partly)


def texts(spec: TextSpec, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    rows = [spec.inputs(" ".join(SENTENCES[n] for n in rng.integers(0, 4, 1 + n % 2))) for n in range(N)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_texts_pass_and_random_ids_do_not():
    spec = TextSpec("text", 16, WORDS)
    training, real = texts(spec, 0), texts(spec, 1)
    ids, mask = real["text_token_ids"], real["text_padding_mask"]
    rng = np.random.default_rng(0)
    assert not failed(real, training, spec)
    empty = [spec.inputs("") for _ in range(N)]
    assert not failed({name: np.stack([row[name] for row in empty]) for name in empty[0]}, training, spec)
    noise = rng.integers(0, len(WORDS), ids.shape).astype("int32")
    assert any("begin with id 2" in line for line in failed({**real, "text_token_ids": noise}, training, spec))
    blinking = rng.integers(0, 2, mask.shape).astype("int32")
    assert any("come first" in line for line in failed({**real, "text_padding_mask": blinking}, training, spec))
    framed = np.where((ids > 4) & (mask > 0), rng.integers(5, len(WORDS), ids.shape), ids)
    assert "one after the other" in failed({**real, "text_token_ids": framed}, training, spec)[0]
    other_vocabulary = (rng.permutation(len(WORDS))[ids] * mask).astype("int32")
    assert failed({**real, "text_token_ids": other_vocabulary}, training, spec)


def sweeps(spec: RadarSpec, seed: int, speed: float) -> Inputs:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(N):
        points = np.zeros((30, len(POINT_FIELDS)), "float32")
        points[:, 2] = rng.uniform(5, 60, 30)
        points[:, 0] = points[:, 2] * rng.uniform(-0.4, 0.4, 30)
        points[:, 3] = rng.normal(5, 4, 30)
        points[:, 4:7] = rng.normal(0, speed, (30, 3))
        points[:, 7] = rng.integers(0, 6, 30) * 0.05
        rows.append(spec.inputs(points))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_points_pass_and_random_numbers_do_not():
    spec = RadarSpec("radar", 40)
    training = sweeps(spec, 0, 5)
    real = sweeps(spec, 1, 8)
    points, mask = real["radar_points"], real["radar_mask"][..., None]
    rng = np.random.default_rng(0)
    assert not failed(real, training, spec)
    nothing = {**real, "radar_points": points * 0, "radar_mask": real["radar_mask"] * 0}
    assert not failed(nothing, training, spec)
    rows = points[mask[..., 0] > 0]
    for noise in (
        rng.random(points.shape),
        rng.normal(size=points.shape),
        rng.uniform(rows.min(0), rows.max(0), points.shape),
        rng.normal(rows.mean(0), rows.std(0), points.shape),
        points * 100,
        points * 0,
    ):
        assert failed({**real, "radar_points": (noise * mask).astype("float32")}, training, spec)
    unmasked = failed({**real, "radar_points": points + (1 - mask)}, training, spec)
    assert "not 0 though masked" in unmasked[0]


def test_a_missing_modality_is_not_judged(pictures):
    spec, training, real = pictures
    dark = {"camera": np.zeros_like(real["camera"]), "camera_present": np.zeros(N, "float32")}
    assert not check_looks(dark, training, {"camera": spec})


def test_a_line_says_what_was_expected_and_what_was_got():
    assert str(Check("image", "noise", 0.5, 0.1, most=0.2)) == (
        "image: noise: expected at most 0.2 (training samples: 0.1), got 0.5"
    )
    assert "expected 1 to 2 " in str(Check("image", "spread", 5, 1.5, 1, 2))
    assert "expected at least 1 " in str(Check("image", "spread", 0, 1.5, 1))
    assert not Check("image", "noise", float("nan"), 0.1, most=0.2).passed
