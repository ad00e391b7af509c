"""The last frames of a camera, as the clip that a model reads."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, require
from mmkeras.modalities import ModalitySpec

__all__ = ["FrameRing"]


class FrameRing:
    """A ring of the last frames of a stream; safe to use from several threads.

    A frame is scaled to the model's size once, when it comes. Only the frames that a clip can need are kept.

    Example:
        >>> ring = FrameRing(predictor.bundle.specs["video"])
        >>> for frame in camera:  # uint8 (H, W, 3), a path, bytes, a Pillow image
        ...     ring.add(frame, time.monotonic())
        ...     answer = predictor.predict(video=ring.clip())
    """

    def __init__(self, spec: ModalitySpec) -> None:
        """Make an empty ring.

        Args:
            spec: of a modality of the kind ``video``: its ``seconds`` are the length of the clips. Where it has none, a
                clip is the last ``frames`` frames.

        Raises:
            ConfigError: a modality of another kind.
        """
        if spec.kind != "video":
            raise ConfigError(f"FrameRing: expected a modality of the kind 'video', got {spec.name!r} ({spec.kind})")
        self._spec: Any = spec
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Any, time: float | None = None) -> None:
        """Add the newest frame.

        Args:
            frame: a picture in any form that a model of pictures reads.
            time: when it was taken, in seconds of any clock; by default one second after the frame before.

        Raises:
            DataError: a picture that cannot be used, or a time that is not after that of the frame before.
        """
        require("PIL", "", "pillow")
        from mmkeras.media.image.pixels import read_rgb
        from mmkeras.media.image.resizing import resize_rgb

        spec = self._spec
        pixels = resize_rgb(read_rgb(frame), spec.height, spec.width, spec.resize)
        with self._lock:
            before = self._frames[-1][0] if self._frames else None
            when = (0.0 if before is None else before + 1.0) if time is None else float(time)
            if not math.isfinite(when) or (before is not None and when <= before):
                raise DataError(f"FrameRing: expected a time after {before}, got {time}")
            self._frames.append((when, pixels))
            if not spec.seconds:
                while len(self._frames) > spec.frames:
                    self._frames.popleft()
            # The frame before the window stays: it is visible when the window begins.
            while spec.seconds and len(self._frames) > 1 and self._frames[1][0] <= when - spec.seconds:
                self._frames.popleft()

    def clip(self, now: float | None = None) -> Any:
        """Return the `mmkeras.media.clips.clip.Clip` of the last frames, for `Predictor.predict`.

        Args:
            now: end of the clip; by default the time of the newest frame. After a pause of the camera the last slots of
                the clip have no new frame.

        Raises:
            DataError: no frame has come, or ``now`` is before the newest one.
        """
        from mmkeras.media.clips.clip import Clip

        with self._lock:
            kept = list(self._frames)
        if not kept:
            raise DataError("FrameRing: no frame has come yet. Add one before the clip is read")
        times = [when for when, _ in kept]
        end = times[-1] if now is None else float(now)
        if not end >= times[-1]:
            raise DataError(f"FrameRing: expected a time of {times[-1]} or later, got {now}")
        spec = self._spec
        seconds = spec.seconds or _usual_step(times) * spec.frames
        # A slot shows the frame in its middle: half a slot later, so that the newest frame is in the last one.
        half = seconds / spec.frames / 2
        return Clip([frame for _, frame in kept], times, (end + half - seconds, end + half))


def _usual_step(times: list[float]) -> float:
    """Return the seconds between two frames in the median; one second for a single frame."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0
