"""A small packed bundle to damage: real layout, tiny contents."""

from __future__ import annotations

from pathlib import Path

from mmkeras.bundle.archive import write_archive

CONTENTS: dict[str, Path | bytes] = {
    "__main__.py": b"print('runs')\n",
    "manifest.json": b'{"schema_version": 1}\n',
    "edge/tiny.float32.tflite": bytes(range(256)),
    "edge/empty.bin": b"",
    "golden/raw.json": b"[]\n",
}
"""What is in it."""


def packed(folder: Path, sign: Path | None = None, **more: bytes) -> Path:
    """Write it and return the file; ``more`` adds members, with ``__`` for a slash."""
    extra = {name.replace("__", "/"): content for name, content in more.items()}
    return write_archive(folder / "tiny-1.mmk", {**CONTENTS, **extra}, sign=sign)
