"""Datasets in their own formats, one module each, found by name.

A module ``mmkeras/data/sources/<name>.py`` holds a frozen dataclass ``Source`` whose fields are its options.
"""

from mmkeras.data.sources._contract import Sample, SourceBase

__all__ = ["Sample", "SourceBase"]
