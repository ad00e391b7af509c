"""Cells of lines of CSV in the graph, as `cells` reads them on the host."""

from __future__ import annotations

import math

import tensorflow as tf

from mmkeras.modalities.tabular.cells import WEEK, YEAR

__all__ = ["date_features", "number"]


def number(cells: tf.Tensor) -> tf.Tensor:
    """Return the numbers, float64 (B,), of cells, string (B,); NaN where one is empty."""
    return tf.strings.to_number(tf.where(cells == "", "nan", cells), tf.float64)


def date_features(cells: tf.Tensor) -> tf.Tensor:
    """Return the features, float64 (B, 5), of dates in ISO 8601 such as 2024-05-31T12:00:00; NaN where one is empty.

    The time of the day may be left out.
    """
    empty = cells == ""
    time = tf.where(tf.strings.length(cells) > len("2024-05-31"), "", "T00:00:00")
    whole = tf.strings.join([tf.where(empty, "1970-01-01", cells), time])

    def part(start: int, length: int) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.substr(whole, start, length), tf.float64)

    year, month, day = part(0, 4), part(5, 2), part(8, 2)
    seconds = 3600.0 * part(11, 2) + 60.0 * part(14, 2) + part(17, 9)
    # Days since 1970 in the Gregorian calendar, years counted from March so that a leap day comes last.
    year = tf.where(month > 2.0, year, year - 1.0)
    month = tf.where(month > 2.0, month - 3.0, month + 9.0)
    leap = tf.floor(year / 4.0) - tf.floor(year / 100.0) + tf.floor(year / 400.0)
    days = 365.0 * year + leap + tf.floor((153.0 * month + 2.0) / 5.0) + day - 719469.0 + seconds / 86400.0
    waves = [function(2.0 * math.pi * days / period) for period in (YEAR, WEEK) for function in (tf.sin, tf.cos)]
    features = tf.stack([days, *waves], axis=1)
    return tf.where(empty[:, None], tf.constant(math.nan, tf.float64), features)
