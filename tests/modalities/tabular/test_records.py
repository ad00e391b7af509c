"""Rows in records: the graph gives what the host gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.modalities.tabular.records import augment, decode, encode, raw
from mmkeras.modalities.tabular.spec import Config, Spec
from tests.modalities.tabular.patients import CONFIG, ROWS, spec

ONLY = {
    "numbers": Config(numbers=("age",)).spec("patient"),
    "dates": Config(dates=("seen",), means={"seen": 19000.0}, deviations={"seen": 321.5}).spec("patient"),
    "categories": Config(categories=("sex", "ward"), known={"sex": ("F",)}).spec("patient"),
}


@pytest.mark.parametrize("known", [spec(), *ONLY.values()], ids=["all", *ONLY])
def test_the_graph_gives_what_the_host_gives(known: Spec) -> None:
    rows = [{name: row.get(name) for name in known.columns} for row in ROWS] + list(known.probes())
    records = [encode(known, row) for row in rows]
    batch = decode(known, tf.constant(records))
    assert list(batch) == [tensor.name for tensor in known.tensors]
    for at, (row, record) in enumerate(zip(rows, records, strict=True)):
        one = decode(known, tf.constant(record))
        for name, value in known.preprocess(row).items():
            assert batch[name].dtype.name == value.dtype.name
            # Sine and cosine of dates are not rounded alike everywhere.
            np.testing.assert_allclose(batch[name][at], value, atol=2e-7 if known.dates else 0, rtol=0)
            np.testing.assert_array_equal(one[name], batch[name][at])
            np.testing.assert_array_equal(known.preprocess(raw(record))[name], value)


def test_an_empty_batch_and_a_row_of_empty_cells_have_the_tensors_shapes() -> None:
    for records in ([], [b",,,,"]):
        found = decode(spec(), tf.constant(records, tf.string))
        assert {name: tuple(value.shape) for name, value in found.items()} == {
            tensor.name: (len(records), *tensor.shape) for tensor in spec().tensors
        }


def test_dates_of_every_month_and_of_leap_years_are_read_as_on_the_host() -> None:
    known = ONLY["dates"]
    days = [np.datetime64("1899-12-27") + np.timedelta64(41 * step * 24 * 3600 + 12345, "s") for step in range(2000)]
    lines = [encode(known, {"seen": day}) for day in days]
    expected = np.stack([known.preprocess(line)["patient_numbers"] for line in lines])
    np.testing.assert_allclose(decode(known, tf.constant(lines))["patient_numbers"], expected, atol=2e-7)
    assert decode(known, tf.constant([b"2024-05-31"]))["patient_missing"] == 0


def test_conversion_needs_no_statistics() -> None:
    assert encode(CONFIG, ROWS[0]) == encode(spec(), ROWS[0])


def test_augmentation_empties_a_share_of_the_cells_and_half_of_the_categories_become_unknown() -> None:
    config, known = dataclasses.replace(CONFIG, mask_rate=0.4), spec()
    row = decode(known, tf.repeat(tf.constant([encode(known, ROWS[0])]), 4000))
    seed = tf.constant([3, 4])
    found = augment(config, known, {**row, "other": tf.zeros(1)}, seed)
    missing, numbers = found["patient_missing"].numpy(), found["patient_numbers"].numpy()
    np.testing.assert_allclose(missing.mean(axis=0), 0.4, atol=0.03)
    np.testing.assert_array_equal(numbers == 0, missing[:, known.owners] == 1)
    first = known.offsets[:-1]
    kinds = found["patient_categories"].numpy() - first
    for kind in (0, 1):
        np.testing.assert_allclose((kinds == kind).mean(axis=0), 0.2, atol=0.03)
    again = augment(config, known, row, seed)
    np.testing.assert_array_equal(again["patient_missing"], missing)
    assert augment(dataclasses.replace(CONFIG, mask_rate=0.0), known, row, seed) is row
