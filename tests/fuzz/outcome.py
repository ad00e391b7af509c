"""What becomes of one input: read, refused, or answered by an exception that is not of mmkeras."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import MmkerasError
from tests.fuzz.reader import Reader

__all__ = ["Outcome", "outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a reader answered."""

    kind: str
    """``read``, ``refused``, ``foreign`` (an exception of another tree) or ``memory`` (more than the limit)."""
    said: str = ""
    """The exception and where it was raised, for the last two."""


def outcome(reader: Reader, path: Path) -> Outcome:
    """Let a reader read one input."""
    try:
        reader.read(path)
    except MmkerasError as error:
        # A reader may answer in its own words that the memory ran out; it asked for too much all the same.
        return Outcome("memory", _said(error)) if _has_memory_error(error) else Outcome("refused")
    except MemoryError as error:
        return Outcome("memory", _said(error))
    except (Exception, SystemExit) as error:  # whatever else comes out is what is looked for
        return Outcome("foreign", _said(error))
    return Outcome("read")


def _has_memory_error(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _said(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__}: {str(error)[:300]} at {places}"
