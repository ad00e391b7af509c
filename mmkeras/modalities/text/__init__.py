"""Text: a sentence or a document, read by a BERT encoder."""

from mmkeras.modalities.text.presets import resolve

__all__ = ["resolve"]
