"""A notebook as a page: its texts and its code."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["NOTEBOOKS", "notebook"]

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
"""The notebooks of the checkout; they hold no outputs."""


def notebook(name: str) -> str:
    """Return the cells of ``docs/notebooks/<name>.ipynb`` as Markdown.

    Raises:
        FileNotFoundError: there is no such notebook.
    """
    content = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))
    parts = []
    for cell in content["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts)
