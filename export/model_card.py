"""``python -m export.model_card BUNDLE``: writes its model card again."""

from __future__ import annotations

import sys

from export.card.model_card import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
