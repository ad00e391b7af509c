"""Replaces methods of layers for a time, without changing the layers' class, configuration or saved form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["replaced"]


@contextmanager
def replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    """Within the context, let ``owner`` have ``value`` in place of its method ``name``."""
    # In the instance's own dictionary: Keras would track an attribute that is set.
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    own[name] = value
    try:
        yield
    finally:
        if before:
            own.update(before)
        else:
            del own[name]
