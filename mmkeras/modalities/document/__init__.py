"""Documents: the words of a page with their boxes, in reading order."""

from mmkeras.modalities.document.vocabulary import resolve

__all__ = ["resolve"]
