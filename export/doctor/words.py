"""Makes one line of what converters and layers say when they fail: pages of it, with the reason in the middle."""

from __future__ import annotations

import re

__all__ = ["reason"]

_SHOWN = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Keras puts this around the message of a layer.
_AROUND = re.compile(r"^(Exception encountered when calling|Arguments received by)")


def reason(text: str) -> str:
    """Return the part of a message that says what is wrong, in one line."""
    plain = _COLOURS.sub("", text).partition("Arguments received by")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    # MLIR says where, then "error:", then what.
    told = [line.rpartition("error:")[2].strip() for line in lines if "error:" in line]
    told += [line for line in lines if not _AROUND.match(line)] or lines
    line = next((each for each in told if each), "no reason given")
    return re.sub(r"\s+", " ", line)[:_SHOWN]
