"""Rows in records and in the tf.data graph: lines of CSV, standardised and looked up as on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.layers.draws import uniform
from mmkeras.modalities.tabular.cells import read_cells
from mmkeras.modalities.tabular.spec import FURTHEST, MISSING, UNKNOWN, Config, Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "encode", "raw"]


def encode(config: Config | Spec, value: Any) -> bytes:
    """Check a row and return it as a line of CSV, see `Cells.line`.

    Raises:
        DataError: the row cannot be read.
    """
    return read_cells(config, value).line.encode()


def raw(record: bytes) -> str:
    """Return the line of CSV that a record holds, as `Spec.preprocess` takes it."""
    return record.decode()


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the tensors of lines of CSV, () or (B,), in the graph; equals `Spec.preprocess`."""
    import tensorflow as tf

    from mmkeras.modalities.tabular.cells_graph import date_features, number

    raw = tf.convert_to_tensor(raw)
    single = raw.shape.rank == 0
    cells = tf.io.decode_csv(tf.reshape(raw, (-1,)), [[""]] * len(spec.columns))
    numbers, dates = len(spec.numbers), len(spec.dates)
    made: dict[str, tf.Tensor] = {}
    if spec.features:
        columns = [number(cell)[:, None] for cell in cells[:numbers]]
        columns += [date_features(cell) for cell in cells[numbers : numbers + dates]]
        features = tf.concat(columns, axis=1)
        mean, deviation = spec.scaling
        empty = tf.math.is_nan(features)
        scaled = tf.clip_by_value((tf.where(empty, mean, features) - mean) / deviation, -FURTHEST, FURTHEST)
        made[f"{spec.name}_numbers"] = tf.cast(tf.where(empty, tf.zeros_like(scaled), scaled), tf.float32)
        made[f"{spec.name}_missing"] = tf.cast(tf.gather(empty, spec.firsts, axis=1), tf.float32)
    if spec.categories:
        names = cells[numbers + dates :]
        indices = [_indices(each, known) for each, known in zip(names, spec.known, strict=True)]
        made[f"{spec.name}_categories"] = tf.stack(indices, axis=1) + tf.constant(spec.offsets[:-1], tf.int32)
    return {name: value[0] for name, value in made.items()} if single else made


def _indices(names: tf.Tensor, known: tuple[str, ...]) -> tf.Tensor:
    """Return the indices (B,) of names (B,) within their column."""
    import tensorflow as tf

    # A comparison with every name: a hash table would be a resource, which a SavedModel has to track and initialise.
    table = tf.constant([*known, ""], tf.string)
    same = tf.equal(names[:, None], table[None])
    found = tf.argmax(same, axis=1, output_type=tf.int32)
    index = tf.where(tf.reduce_any(same, axis=1), found + UNKNOWN + 1, UNKNOWN)
    return tf.where(names == "", MISSING, index)


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Change a share ``mask_rate`` of the cells of a sample or a batch, see `Config.mask_rate`.

    Other inputs are passed through. The same seed, int32 (2,), changes the same cells.
    """
    if config.mask_rate == 0:
        return inputs
    import tensorflow as tf

    changed = dict(inputs)
    if spec.features:
        numbers, missing = inputs[f"{spec.name}_numbers"], inputs[f"{spec.name}_missing"]
        emptied = tf.cast(uniform(tf.shape(missing), seed) < config.mask_rate, missing.dtype)
        changed[f"{spec.name}_missing"] = tf.maximum(missing, emptied)
        changed[f"{spec.name}_numbers"] = numbers * (1.0 - tf.gather(emptied, spec.owners, axis=-1))
    if spec.categories:
        indices = inputs[f"{spec.name}_categories"]
        draw = uniform(tf.shape(indices), seed + 1)
        base = tf.constant(spec.offsets[:-1], indices.dtype)
        instead = base + tf.where(draw < 0.5 * config.mask_rate, UNKNOWN, MISSING)
        there = indices != base + MISSING
        changed[f"{spec.name}_categories"] = tf.where((draw < config.mask_rate) & there, instead, indices)
    return changed
