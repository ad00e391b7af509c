from __future__ import annotations

import functools
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.frames import as_png
from mmkeras.modalities.image import records
from mmkeras.modalities.image.moving import move_picture
from mmkeras.modalities.image.spec import Config, Spec
from tests.fuzz.damage.pictures import damage
from tests.media.image.pictures import bad_files, converted_files, file, good_files, picture, without_checksum

pytestmark = pytest.mark.tfio

RESIZES = ("stretch", "letterbox", "center_crop")
SIZES = ((48, 64), (64, 48), (150, 130), (60, 80), (17, 90))


def graph_decode(spec: Spec, files: list[bytes]) -> np.ndarray:
    """Decode in tf.data, as training does."""
    dataset = tf.data.Dataset.from_tensor_slices(files).map(lambda raw: records.decode(spec, raw))
    assert dataset.element_spec[spec.name] == tf.TensorSpec((spec.height, spec.width, 3), tf.uint8)
    return np.stack([inputs[spec.name] for inputs in dataset.as_numpy_iterator()])


@functools.cache
def graph() -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the decoder of one image as a function that is traced once."""
    spec = Spec("image")
    return tf.function(lambda raw: records.decode(spec, raw), [tf.TensorSpec((), tf.string)], autograph=False)


def assert_agree(spec: Spec, files: list[bytes]) -> None:
    graph = graph_decode(spec, files).astype(int)
    host = np.stack([spec.preprocess(data)[spec.name] for data in files]).astype(int)
    difference = np.abs(graph - host)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_host_and_graph_agree_on_every_kind_of_file(resize, size):
    assert_agree(Spec("image", size[0], size[1], resize), list(good_files().values()))


@pytest.mark.parametrize("resize", RESIZES)
def test_a_file_that_only_a_device_reads_is_recorded_as_its_pixels(resize):
    for size in ((60, 80), (20, 30), (40, 56)):
        spec = Spec("image", *size, resize)
        for kind, data in converted_files().items():
            record = records.encode(spec, data)
            assert records.proven(spec, [record]) == [record]
            trained = records.decode(spec, tf.constant(record))["image"].numpy().astype(int)
            device = spec.preprocess(data)["image"].astype(int)
            np.testing.assert_array_equal(spec.preprocess(record)["image"], device, err_msg=kind)
            assert np.abs(trained - device).max() <= int(Image.open(io.BytesIO(record)).size != size[::-1]), kind


@pytest.mark.parametrize(
    ("archive", "pattern"),
    [("gtsrb35", "*.ppm"), pytest.param("emoji", "*.png", marks=pytest.mark.slow), ("pydicom_data", "*.dcm")],
)
def test_device_and_training_agree_on_real_files_of_other_formats(archive, pattern, shared_data):
    spec, read = Spec("image", 40, 48, "letterbox"), 0
    refused: list[tuple[str, bool]] = []
    paths = sorted(shared_data(archive).rglob(pattern))
    for path in paths[:: max(1, len(paths) // 40)]:
        try:
            record = records.encode(spec, path)
        except DataError as error:  # frames to choose from, or a codec that is not installed
            refused.append((archive, path.name in str(error)))
            continue
        (record,) = records.proven(spec, [record])
        trained = records.decode(spec, tf.constant(record))["image"].numpy().astype(int)
        assert np.abs(trained - spec.preprocess(path)["image"]).max() <= 1, path.name
        read += 1
    assert read >= 20
    assert set(refused) <= {("pydicom_data", True)}


def test_a_real_photo_is_the_same_picture_in_every_lossless_format(shared_data):
    photo = Image.open(next(shared_data("litert_models").rglob("hot_dog.jpg"))).convert("RGB")
    spec = Spec("image", 96, 128)
    expected = spec.preprocess(photo)["image"]
    kinds: dict[str, dict[str, Any]] = {
        "PNG": {}, "BMP": {}, "PPM": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"},
    }  # fmt: skip
    for kind, options in kinds.items():
        data = file(photo, kind, **options)
        np.testing.assert_array_equal(spec.preprocess(data)["image"], expected, err_msg=kind)
        trained = records.decode(spec, tf.constant(records.encode(spec, data)))["image"].numpy().astype(int)
        assert np.abs(trained - expected).max() <= 1, kind


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    out=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    resize=st.sampled_from(RESIZES),
    jpeg=st.booleans(),
)
def test_host_and_graph_agree_at_any_size(height, width, out, resize, jpeg):
    data = file(picture(height, width), "JPEG" if jpeg else "PNG")
    spec = Spec("image", out[0], out[1], resize)
    graph = records.decode(spec, tf.constant(data))["image"].numpy().astype(int)
    assert np.abs(graph - spec.preprocess(data)["image"]).max() <= 1


def test_a_batch_decodes_like_its_samples():
    files, spec = list(good_files().values()), Spec("image", 40, 30)
    whole = records.decode(spec, tf.constant(files))["image"]
    assert whole.shape == (len(files), 40, 30, 3)
    np.testing.assert_array_equal(whole, graph_decode(spec, files))


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (40, 56)], ids=str)
def test_host_and_graph_agree_on_easy_vqa(size, easy_vqa_images):
    files = [path.read_bytes() for path in easy_vqa_images[:40]]
    assert_agree(Spec("image", *size), files)


@pytest.mark.parametrize(("archive", "pattern"), [("sroie", "*.jpg"), ("litert_models", "*.jpg"), ("radar", "*.png")])
def test_host_and_graph_agree_on_real_files(archive, pattern, shared_data):
    files = [path.read_bytes() for path in sorted(shared_data(archive).rglob(pattern))[:4]]
    assert files
    for resize in RESIZES:
        assert_agree(Spec("image", 224, 160, resize=resize), files)


@pytest.mark.parametrize("kind", sorted(bad_files()))
def test_conversion_and_graph_refuse_the_same_files(kind):
    data, reason = bad_files()[kind]
    with pytest.raises(DataError, match=reason):
        records.encode(Spec("image"), data)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph()(tf.constant(data))


def test_a_file_that_only_pillow_reads_becomes_a_png_of_its_pixels():
    spec, damaged, good = Spec("image", 8, 8), without_checksum(), file(picture(8, 8), "JPEG")
    encoded = [records.encode(spec, good), records.encode(spec, damaged)]
    with pytest.raises(tf.errors.InvalidArgumentError):
        records.decode(spec, tf.constant(encoded[1]))
    first, second = records.proven(spec, encoded)
    assert first == good
    decoded = records.decode(spec, tf.constant(second))["image"]
    np.testing.assert_array_equal(decoded, spec.preprocess(damaged)["image"])


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(good_files() | converted_files())), seed=st.integers(0, 2**32))
@example(kind="png_grey_key", seed=15818499)  # its transparent colour stands behind its pixels
@example(kind="one_pixel", seed=815)  # a side that libpng refuses
@example(kind="png_colour_key", seed=33)  # its transparent colour has 3,006 bytes
def test_what_conversion_accepts_of_damaged_files_can_be_decoded(kind, seed):
    spec, chance = Spec("image", 9, 11), random.Random(seed)
    data = damage((good_files() | converted_files())[kind], chance)
    try:
        (proven,) = records.proven(spec, [records.encode(spec, data)])
    except DataError:
        return
    assert_agree(spec, [proven])


def test_encode_keeps_files_and_writes_pixels_as_png(tmp_path):
    data = file(picture(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    assert records.encode(Config(), tmp_path / "a.jpg") == data
    assert records.encode(Config(), data) == data
    pixels = np.asarray(picture())
    png = records.encode(Config(), pixels)
    np.testing.assert_array_equal(tf.io.decode_png(png), pixels)
    with pytest.raises(DataError, match="no such file"):
        records.encode(Config(), tmp_path / "b.jpg")


ALL = Config(size=(24, 20), brightness=0.2, contrast=0.3)


def test_levels_are_stretched_equally_on_host_and_graph():
    dark = np.asarray(picture(40, 30, seed=1)) // 16 + 30
    dark[0, :3] = 255
    data, spec = (
        as_png(Image.fromarray(dark.astype(np.uint8))),
        Config(size=(40, 30), stretch_levels=True).spec("image"),
    )
    host = spec.preprocess(data)["image"]
    np.testing.assert_array_equal(host, graph_decode(spec, [data])[0])
    other = Config(size=(31, 50), stretch_levels=True, resize="letterbox").spec("image")
    assert_agree(other, [data, file(picture(64, 48, seed=2), "JPEG")])
    assert (np.percentile(host, 1), np.percentile(host, 99)) == (0, 255), "a few bright pixels do not count"
    assert (host == 0).mean() < 0.1
    flat = as_png(Image.fromarray(np.full((40, 30, 3), 77, np.uint8)))
    np.testing.assert_array_equal(spec.preprocess(flat)["image"], 0)
    np.testing.assert_array_equal(graph_decode(spec, [flat])[0], 0)


def batch(count: int = 16) -> dict[str, tf.Tensor]:
    return {"image": tf.constant(np.stack([np.asarray(picture(24, 20, seed)) for seed in range(count)]))}


def test_augmentation_is_a_function_of_the_seed():
    inputs, spec = batch(), ALL.spec("image")
    first = records.augment(ALL, spec, inputs, [1, 2])["image"].numpy()
    again = records.augment(ALL, spec, inputs, [1, 2])["image"].numpy()
    other = records.augment(ALL, spec, inputs, [1, 3])["image"].numpy()
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    changed = (first != inputs["image"].numpy()).any(axis=(1, 2, 3))
    assert changed.mean() > 0.9


def test_augmentation_is_the_same_eagerly_and_in_tf_data():
    inputs, spec = batch(1), ALL.spec("image")
    dataset = tf.data.Dataset.from_tensors(inputs).map(lambda x: records.augment(ALL, spec, x, [7, 8]))
    mapped = next(dataset.as_numpy_iterator())["image"]
    np.testing.assert_array_equal(mapped, records.augment(ALL, spec, inputs, [7, 8])["image"])
    assert dataset.element_spec["image"].shape[1:] == (24, 20, 3)


def test_nothing_configured_changes_nothing():
    inputs, config = batch(2), Config(size=(24, 20))
    assert records.augment(config, config.spec("image"), inputs, [1, 2]) is inputs


def moved(config: Config, inputs: dict[str, tf.Tensor], seed: list[int]) -> np.ndarray:
    move = records.draw_move(config, len(inputs["image"]), seed)
    return records.move(config.spec("image"), inputs, move)["image"].numpy()


def test_flip_alone_mirrors_about_half():
    config, inputs = Config(size=(24, 20), flip=True), batch(64)
    result = moved(config, inputs, [3, 4])
    plain = inputs["image"].numpy()
    kept = (result == plain).all(axis=(1, 2, 3))
    mirrored = (result == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept | mirrored).all()
    assert 16 < mirrored.sum() < 48


def test_translation_moves_by_whole_pixels_within_its_share():
    dot = np.zeros((32, 20, 20, 3), np.uint8)
    dot[:, 10, 10] = 255
    result = moved(Config(size=(20, 20), translate=0.1), {"image": tf.constant(dot)}, [0, 1])
    samples, rows, columns = np.nonzero(result[..., 0])
    assert sorted(samples) == list(range(32))
    assert set(rows) <= set(range(8, 13))
    assert set(columns) <= set(range(8, 13))
    assert len(set(rows)) > 2


def spread(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction of the longer axis of bright pixels in degrees, counter-clockwise, and its length."""
    rows, columns = np.mgrid[: pictures.shape[1], : pictures.shape[2]] - (pictures.shape[1] - 1) / 2
    angles, lengths = [], []
    for bright in pictures[..., 0] / 255:
        across, up = (bright * columns**2).sum(), (bright * rows**2).sum()
        both = -(bright * rows * columns).sum()
        angles.append(np.degrees(np.arctan2(2 * both, across - up) / 2))
        lengths.append(np.sqrt((across + up) / bright.sum()))
    return np.array(angles), np.array(lengths)


def bars(count: int, half: int) -> dict[str, tf.Tensor]:
    """Return black pictures with a white bar of ``2 * half`` columns in the middle."""
    pixels = np.zeros((count, 41, 41, 3), np.uint8)
    pixels[:, 19:22, 20 - half : 21 + half] = 255
    return {"image": tf.constant(pixels)}


def test_rotation_turns_about_the_middle_up_to_its_degrees_either_way():
    angles, lengths = spread(moved(Config(size=(41, 41), rotate=30.0), bars(64, 12), [0, 1]))
    assert np.abs(angles).max() < 31
    assert (angles.min(), angles.max()) == pytest.approx((-27, 27), abs=4)
    np.testing.assert_allclose(lengths, spread(bars(1, 12)["image"].numpy())[1][0], rtol=0.05)


def test_zoom_scales_about_the_middle_by_its_share():
    angles, lengths = spread(moved(Config(size=(41, 41), zoom=0.5), bars(64, 10), [0, 1]))
    factors = lengths / spread(bars(1, 10)["image"].numpy())[1][0]
    assert np.abs(angles).max() < 1
    assert (factors.min(), factors.max()) == pytest.approx((1 / 1.5, 1.5), rel=0.1)


def test_a_turned_mask_follows_the_picture_and_keeps_its_classes():
    pixels = np.random.default_rng(0).integers(0, 2, (4, 6, 5)).astype(np.uint8)
    pixels = tf.constant(7 * pixels.repeat(4, axis=1).repeat(4, axis=2))
    picture = tf.repeat(pixels[..., None], 3, axis=-1)
    move = records.draw_move(Config(size=(24, 20), rotate=20.0, zoom=0.2, flip=True, translate=0.1), 4, [5, 6])
    mask = move_picture(pixels, move)
    assert mask.dtype == tf.uint8
    assert set(np.unique(mask)) == {0, 7}
    smooth = move_picture(picture, move, smooth=True)[..., 0].numpy()
    inside = np.isin(smooth, (0, 7))
    assert 0.5 < inside.mean() < 1, "between two classes, the picture has values of neither"
    np.testing.assert_array_equal(smooth[inside], mask.numpy()[inside])


def test_the_options_that_move_pictures_say_so():
    every = Config(flip=True, translate=0.1, rotate=5.0, zoom=0.1)
    assert every.moves() == {"flip": "mirror", "translate": "shift", "rotate": "turn", "zoom": "zoom"}
    assert Config(brightness=0.1, corruption=0.1).moves() == {}


def test_colours_are_exchanged_in_the_share_that_is_asked_for():
    inputs, config = batch(256), Config(size=(24, 20), colours=0.5)
    plain = inputs["image"].numpy()
    result = records.augment(config, config.spec("image"), inputs, [5, 6])["image"].numpy()
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    counts = [(result == plain[..., order]).all(axis=(1, 2, 3)).sum() for order in orders]
    assert sum(counts) == 256
    assert counts[0] == pytest.approx(256 * (0.5 + 0.5 / 6), abs=30)
    assert min(counts) > 5


def test_corruption_darkens_fogs_or_covers_the_share_that_is_asked_for():
    config = Config(size=(32, 48), corruption=0.6)
    spec = config.spec("image")
    images = np.random.default_rng(0).integers(60, 200, (300, 32, 48, 3)).astype("uint8")
    corrupted = records.augment(config, spec, {"image": tf.constant(images)}, tf.constant([1, 2]))["image"].numpy()
    again = records.augment(config, spec, {"image": tf.constant(images)}, tf.constant([1, 2]))["image"].numpy()
    np.testing.assert_array_equal(corrupted, again)
    changed = (corrupted != images).any(axis=(1, 2, 3))
    assert 0.5 < changed.mean() < 0.7
    dark = corrupted.mean(axis=(1, 2, 3)) < 0.6 * images.mean(axis=(1, 2, 3))
    flat = corrupted.std(axis=(1, 2, 3)) < 0.75 * images.std(axis=(1, 2, 3))
    covered = changed & (corrupted == images).any(axis=(1, 2, 3)) & ~dark & ~flat
    assert min(dark.sum(), (flat & ~dark).sum(), covered.sum()) > 20
