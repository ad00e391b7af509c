"""Limits on the memory of the process that reads damaged files."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["limited"]


@contextmanager
def limited(mebibytes: int) -> Iterator[None]:
    """Let this process take so much more memory than it has now."""
    text = Path("/proc/self/status").read_text("utf-8")
    held = next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmData"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + (mebibytes << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
