"""Series of numbers in time: prices, sensors, spectra."""

from mmkeras.modalities.series.statistics import resolve

__all__ = ["resolve"]
