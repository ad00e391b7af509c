"""Images in records and in the tf.data graph: encoded, decoded, augmented.

TensorFlow is imported inside the functions that use it: processes that convert only need `encode`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.layers.draws import normal, uniform
from mmkeras.media.dicom.frames import anonymous, as_png, open_frame
from mmkeras.media.dicom.header import is_dicom
from mmkeras.media.dicom.paths import split_frame
from mmkeras.media.image.formats import graph_reads, has_more_frames
from mmkeras.media.image.orientation import JPEG, PNG
from mmkeras.media.image.pixels import RawImage, describe, read_bytes, read_rgb
from mmkeras.media.image.resizing import TIE, fit
from mmkeras.modalities._moves import Move
from mmkeras.modalities.image.spec import Config, Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "draw_move", "encode", "move", "proven", "remark"]

_AT_ONCE = 8
"""Images that `proven` decodes at the same time."""


def encode(spec: Config | Spec, value: RawImage) -> bytes:
    """Check an image and return the bytes of its record: the file itself, or a PNG of pixels.

    A file stays as it is if the graph decodes it as a device does (`mmkeras.media.image.formats.graph_reads`). Every
    other file (WebP, TIFF, CMYK, an animation, a PNG with a transparent colour) becomes a PNG of the pixels that a
    device sees: upright, blended over white, 8 bits. A DICOM file becomes one frame without other elements: a PNG as
    displayed, or the result of `mmkeras.media.dicom.frames.anonymous`. Records keep the size of the image, so that
    another input size needs no conversion.
    """
    if isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview)):
        data = read_bytes(value)
        if is_dicom(data):
            frame = open_frame(data, describe(value), split_frame(value)[1])
            return anonymous(frame) if spec.dicom == "graph" else frame.png()
        image = read_rgb(value)
        return data if graph_reads(data) else as_png(image)
    return as_png(read_rgb(value))


def remark(spec: Config | Spec, value: RawImage) -> str:
    """Return what a user should know of an image that `encode` accepts; empty without anything."""
    del spec
    if not isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview)):
        return ""
    data = read_bytes(value)
    if is_dicom(data) or not has_more_frames(data):
        return ""
    return "only the first frame or page is read of an animation (GIF, PNG, WebP) or a TIFF file of several pages"


def proven(spec: Config | Spec, records: Sequence[bytes]) -> list[bytes]:
    """Run the training decoder over the results of `encode`; needs TensorFlow.

    Pillow accepts damage that TensorFlow's decoders do not, and a record that cannot be decoded would stop a training.

    Returns:
        The same bytes; a PNG of Pillow's pixels for a JPEG or PNG file that TensorFlow refuses.
    """
    import tensorflow as tf

    del spec
    records = list(records)
    files = [at for at, record in enumerate(records) if record.startswith((JPEG, PNG))]
    read = _reader()
    try:
        read(tf.constant([records[at] for at in files], tf.string))
    except tf.errors.InvalidArgumentError:
        for at in files:
            try:
                read(tf.constant([records[at]]))
            except tf.errors.InvalidArgumentError:
                records[at] = as_png(read_rgb(records[at]))
    return records


@cache
def _reader() -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function that decodes files, string (B,), and returns their heights."""
    import tensorflow as tf

    from mmkeras.modalities.image.file_graph import decode_file

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
    def heights(raw: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda one: tf.shape(decode_file(one))[0], raw, fn_output_signature=tf.int32, parallel_iterations=_AT_ONCE
        )

    return heights


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decode and resize the results of `encode`, () or (B,), in the graph; equals `Spec.preprocess` to one level.

    Returns:
        uint8 (height, width, 3) or (B, height, width, 3) by tensor name.
    """
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw)
    if raw.shape.rank == 0:
        return {spec.name: _decode(spec, raw)}
    signature = tf.TensorSpec((spec.height, spec.width, 3), tf.uint8)
    return {spec.name: tf.map_fn(lambda one: _decode(spec, one), raw, fn_output_signature=signature)}


def _decode(spec: Spec, raw: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    from mmkeras.modalities.image.dicom_graph import decode_dicom
    from mmkeras.modalities.image.file_graph import decode_file, is_file
    from mmkeras.modalities.image.levels import stretch_levels

    if spec.dicom == "graph":
        image = tf.cond(is_file(raw), lambda: decode_file(raw), lambda: decode_dicom(raw))
    else:
        image = decode_file(raw)
    if spec.stretch_levels:
        image = stretch_levels(image)
    shape = tf.cast(tf.shape(image)[:2], tf.int64)
    size = tf.constant([spec.height, spec.width], tf.int64)
    if spec.resize == "center_crop":
        window = tf.clip_by_value(tf.stack(fit(size[0], size[1], shape[0], shape[1])), [1, 1], shape)
        start = (shape - window) // 2
        image = image[start[0] : start[0] + window[0], start[1] : start[1] + window[1]]
        image = _resize(image, size)
    elif spec.resize == "letterbox":
        inner = tf.clip_by_value(tf.stack(fit(shape[0], shape[1], size[0], size[1])), [1, 1], size)
        start = tf.cast((size - inner) // 2, tf.int32)
        image = tf.image.pad_to_bounding_box(_resize(image, inner), start[0], start[1], spec.height, spec.width)
    else:
        image = _resize(image, size)
    return tf.ensure_shape(image, (spec.height, spec.width, 3))


def draw_move(config: Config, count: tf.Tensor, seed: tf.Tensor) -> Move:
    """Draw how each sample is mirrored, shifted, turned and scaled."""
    import tensorflow as tf

    draws = _draws(count, seed)
    # Draws of their own, so that those of the older options stay as they are.
    further = uniform((count, 2), tf.convert_to_tensor(seed) + 3, -1.0, 1.0)
    shift, shifted = draws[:, :2] * config.translate, bool(config.translate or config.crop)
    zoom = tf.exp(further[:, 1] * math.log1p(config.zoom)) if config.zoom else None
    if config.crop:
        # A part of the picture is a shift of its middle to the middle of the picture, and then a zoom.
        part = uniform((count, 3), tf.convert_to_tensor(seed) + 5, -1.0, 1.0)
        kept = 1.0 - config.crop * (part[:, 0] + 1.0) / 2.0
        shift += (1.0 - kept)[:, None] / 2.0 * part[:, 1:]
        zoom = 1.0 / kept if zoom is None else zoom / kept
    return Move(
        mirror=draws[:, 2] < 0 if config.flip else None,
        up=shift[:, 0] if shifted else None,
        left=shift[:, 1] if shifted else None,
        turn=further[:, 0] * math.radians(config.rotate) if config.rotate else None,
        zoom=zoom,
    )


def _draws(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draw five numbers per sample: three for `draw_move`, two for `augment`."""
    return uniform((count, 5), seed, -1.0, 1.0)


def move(spec: Spec, inputs: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
    """Move the images of a batch; other inputs are passed through."""
    from mmkeras.modalities.image.moving import move_picture

    return {**inputs, spec.name: move_picture(inputs[spec.name], move, smooth=True)}


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Change brightness, contrast and colours of each image of a batch, and corrupt some images.

    Inputs are uint8 (B, height, width, 3) by tensor name; others are passed through. The same seed, int32 (2,), gives
    the same result.
    """
    if not any((config.brightness, config.contrast, config.colours, config.corruption)):
        return inputs
    import tensorflow as tf

    image = inputs[spec.name]
    if config.brightness or config.contrast:
        draws = _draws(tf.shape(image)[0], seed)
        # Flattened: broadcasting over one axis takes half the time of broadcasting over three.
        values = tf.cast(tf.reshape(image, (-1, spec.height * spec.width * 3)), tf.float32)
        mean = tf.reduce_mean(values, axis=1, keepdims=True)
        factor = 1.0 + config.contrast * draws[:, 3, None]
        values = values * factor + (mean * (1.0 - factor) + 255.0 * config.brightness * draws[:, 4, None])
        values = tf.cast(tf.clip_by_value(tf.round(values), 0.0, 255.0), tf.uint8)
        image = tf.reshape(values, (-1, spec.height, spec.width, 3))
    if config.colours:
        draws = uniform((tf.shape(image)[0], 4), tf.convert_to_tensor(seed) + 4)
        order = tf.where(draws[:, 3:] < config.colours, tf.argsort(draws[:, :3], axis=1), tf.range(3))
        image = tf.gather(image, order, axis=3, batch_dims=1)
    if config.corruption:
        image = _corrupt(config, spec, image, seed + 1)
    return {**inputs, spec.name: image}


def _corrupt(config: Config, spec: Spec, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Simulate bad sight for some images: darkness with noise, fog, or a covered part of the lens."""
    import tensorflow as tf

    count = tf.shape(image)[0]
    draws = uniform((count, 8), seed)
    chosen, kind, amount, level = (draws[:, n, None] for n in range(4))
    corrupted = chosen < config.corruption
    dark, fog, covered = (corrupted & (kind >= n / 3) & (kind < (n + 1) / 3) for n in range(3))
    thickness = tf.where(fog, 0.4 + 0.5 * amount, 0.0)
    scale = tf.where(dark, 0.05 + 0.4 * amount, 1.0 - thickness)
    noise = normal((count, spec.height * spec.width * 3), seed + 1)
    values = tf.cast(tf.reshape(image, (-1, spec.height * spec.width * 3)), tf.float32)
    values = values * scale + thickness * (100.0 + 120.0 * level) + tf.where(dark, 8.0, 0.0) * noise
    values = tf.reshape(values, (-1, spec.height, spec.width, 3))
    inside = []
    for side, middle, extent in ((spec.height, draws[:, 4], draws[:, 5]), (spec.width, draws[:, 6], draws[:, 7])):
        place = (np.arange(side, dtype=np.float32) + 0.5) / side
        inside.append(tf.abs(place - middle[:, None]) < 0.1 + 0.3 * extent[:, None])
    hidden = (covered & inside[0])[:, :, None] & inside[1][:, None, :]
    values = tf.where(hidden[..., None], 200.0 * level[:, :, None, None], values)
    return tf.cast(tf.clip_by_value(tf.round(values), 0.0, 255.0), tf.uint8)


def _resize(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resize, bilinear, antialiased and rounded; an image of the right size is returned unchanged."""
    import tensorflow as tf

    def scaled() -> tf.Tensor:
        pixels = tf.image.resize(image, tf.cast(size, tf.int32), "bilinear", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(pixels + TIE), 0.0, 255.0), tf.uint8)

    fits = tf.reduce_all(tf.shape(image, tf.int64)[:2] == size)
    return tf.cond(fits, lambda: image, scaled)
