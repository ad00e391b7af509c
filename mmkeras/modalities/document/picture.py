"""How a page is shown in reports: its words in their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.media.document.drawing import tagged_page
from mmkeras.modalities.document.packet import page_of

__all__ = ["caption", "image"]


def image(value: Any) -> np.ndarray:
    """Return the words of a page in their boxes, uint8 (H, W, 3)."""
    page = page_of(value)
    return tagged_page(page.words, page.boxes, (page.width, page.height), ())


def caption(value: Any) -> str:
    """Return the words in reading order."""
    return " ".join(page_of(value).words)
