"""Ways to damage a file: any bytes, and what only a reader that understands the format will notice."""

from tests.fuzz.damage.damage import damaged

__all__ = ["damaged"]
