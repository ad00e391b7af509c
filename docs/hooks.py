"""What mkdocs calls while it builds the site: each page is a template, see `docs.generator.pages`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# Reading the options imports TensorFlow, whose start-up messages would stand between the warnings of mkdocs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.generator.pages import render

__all__ = ["on_page_markdown"]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page with its generated parts.

    Args:
        markdown: the page as it is written.
        page: of mkdocs.
    """
    return render(markdown, page.file.src_uri)
