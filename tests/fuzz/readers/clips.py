"""Clips, as a sample, a user or a camera brings them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmkeras.core.errors import require
from mmkeras.media.clips.strip import write_strip
from mmkeras.modalities.video import records
from mmkeras.modalities.video.spec import Spec
from tests.fuzz.reader import Reader
from tests.media.clips.films import numbered, turned, write_film

__all__ = ["READERS"]

_SPEC = Spec("clip", 4, 24, 32)


def _write(folder: Path) -> None:
    """Write the usual containers and codecs, an animation, and a record."""
    require("av", "video", "av")
    frames = numbered(6, (32, 48))
    for name, codec in (("a.mp4", "mpeg4"), ("b.mkv", "libx264"), ("c.webm", "libvpx"), ("d.avi", "mjpeg")):
        write_film(folder / name, frames, codec=codec)
    write_film(folder / "e.ts", frames, bframes=True)
    turned(folder / "a.mp4", 0, 1, -1, 0)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(folder / "f.gif", save_all=True, append_images=pictures[1:])
    (folder / "g.png").write_bytes(write_strip(np.stack(frames), np.arange(6) % 4 != 1))


def _read(path: Path) -> object:
    record = records.encode(_SPEC, str(path))
    made = _SPEC.preprocess(record)
    assert made["clip_fresh"][0] == 1, "the first frame is always a new one"
    return made, _SPEC.preprocess(path.read_bytes()), records.remark(_SPEC, str(path))


READERS = (Reader("clip", _write, _read, share=2),)
