"""Columns of a table: numbers, dates and categories, one token each."""

from mmkeras.modalities.tabular.statistics import resolve

__all__ = ["resolve"]
