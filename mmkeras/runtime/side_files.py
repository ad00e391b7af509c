"""JSON files beside a bundle's manifest that explain it: export.json, metrics.json, benchmark.json. No TensorFlow."""

from __future__ import annotations

from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.errors import BundleError
from mmkeras.core.typed import parse_json

__all__ = ["BENCHMARK", "EXPORT", "read_side_file"]

BENCHMARK = "benchmark.json"
"""What `mmkeras benchmark` measured."""
EXPORT = "export.json"
"""What verification found at export."""


def read_side_file(bundle: Bundle, name: str) -> dict[str, Any]:
    """Return a file's object; empty where the bundle has no such file.

    Raises:
        BundleError: it cannot be read as JSON.
    """
    try:
        value = parse_json((bundle.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{bundle.place / name} cannot be read as JSON: {error}. Copy the bundle again.") from error
    return value if isinstance(value, dict) else {}
