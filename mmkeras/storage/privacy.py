"""Which sample data may appear in reports, logs, TensorBoard and bundles: ``privacy.redact``.

``none`` writes it unchanged. ``text`` replaces texts of samples, and quotations in messages. ``all`` also leaves out
their pictures, and replaces their names and the values of columns by short hashes. The same name has the same hash, so
that two reports can be compared; a hash does not protect a name that can be guessed. Metrics, class names and column
names stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["LEVELS", "Redact", "Redaction", "recorded", "redacting", "redaction"]

Redact = Literal["none", "text", "all"]
LEVELS: tuple[Redact, ...] = ("none", "text", "all")
# A truncated quotation has no end. An apostrophe within a word does not start a quotation.
_QUOTED = re.compile(r"""(?<![A-Za-z])(?:'(?:[^'\\\n]|\\.)*(?:'|$|(?=\n))|"(?:[^"\\\n]|\\.)*(?:"|$|(?=\n)))""")
_FILE = re.compile(r"\A[^:\n]{0,4000}\.\w{1,8}(?:#\d{1,9})?(?=: )")
_LONGEST = 4000
"""Longer messages are truncated to this many characters."""


@dataclass(frozen=True)
class Redaction:
    """Rules for writing sample data."""

    level: Redact = "none"

    def __post_init__(self) -> None:
        """Check the level."""
        if self.level not in LEVELS:
            raise ConfigError(f"privacy.redact: {nearest(str(self.level), LEVELS)}")

    @property
    def texts(self) -> bool:
        """Whether texts of samples are hidden."""
        return self.level != "none"

    @property
    def everything(self) -> bool:
        """Whether pictures, names and column values are hidden as well."""
        return self.level == "all"

    def value(self, value: Any) -> Any:
        """Return a raw value as it may be written: a text without its words, ``None`` for a hidden picture."""
        if isinstance(value, str) and self.texts:
            return f"(text of {len(value)} characters, redacted)"
        return None if self.everything else value

    def name(self, name: str) -> str:
        """Return the name of a sample, or the value of a column, as it may be written."""
        if not self.everything or not name:
            return name
        return f"#{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:10]}"

    def message(self, message: str) -> str:
        """Return a message without its quotations, if texts are hidden."""
        return _QUOTED.sub("'...'", message[:_LONGEST]) if self.texts else message

    def about(self, message: str, values: Iterable[Any]) -> str:
        """Return a message about one sample without quotations and, where names are hidden, without its values.

        A file name at the beginning of the message counts as a value.
        """
        if self.everything:
            message = _FILE.sub("(file)", message)
            for value in values:
                parts = {value, PurePath(value).name} if isinstance(value, str) else set()
                for part in sorted(parts - {""}, key=len, reverse=True):
                    message = message.replace(part, self.name(part))
        return self.message(message)


_NOTHING = Redaction()
_CURRENT: ContextVar[Redaction] = ContextVar("mmkeras_redaction", default=_NOTHING)


def redaction() -> Redaction:
    """Return the current rules; outside of `redacting` nothing is hidden."""
    return _CURRENT.get()


def recorded(provenance: Mapping[str, Any]) -> Redaction | None:
    """Return the redaction of the configuration in a run's or bundle's provenance; ``None`` where it has none.

    An unknown level hides everything.
    """
    section = provenance.get("config")
    privacy = section.get("privacy") if isinstance(section, dict) else None
    if not isinstance(privacy, dict) or "redact" not in privacy:
        return None
    return Redaction(privacy["redact"] if privacy["redact"] in LEVELS else "all")


@contextmanager
def redacting(level: Redact) -> Iterator[Redaction]:
    """Hide samples in everything written inside.

    Raises:
        ConfigError: there is no such level.
    """
    token = _CURRENT.set(Redaction(level))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)
