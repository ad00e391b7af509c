"""How one side takes a picture: size, resizing, order of colours, range of values, order of dimensions."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from export.foreign.model import Tensor
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.media.image.resizing import resize_rgb

__all__ = ["COLOURS", "LAYOUTS", "RESIZES", "SCALES", "PictureSpec", "declared_fields", "inferred"]

RESIZES = ("stretch", "letterbox", "center_crop")
COLOURS = ("rgb", "bgr", "grey")
LAYOUTS = ("nhwc", "nchw")
SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((0.0,), (1.0,)),
    "0..1": ((0.0,), (255.0,)),
    "-1..1": ((127.5,), (127.5,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}
"""Mean and standard deviation of red, green and blue on 0..255: the model gets ``(pixel - mean) / deviation``."""
_ALSO = {"[0,1]": "0..1", "[-1,1]": "-1..1", "[0,255]": "0..255", "0-1": "0..1", "0-255": "0..255", "torch": "imagenet"}


@dataclass(frozen=True)
class PictureSpec:
    """What one side is given for a picture."""

    size: tuple[int, int]
    """Height and width."""
    resize: str = "stretch"
    """``stretch`` ignores the aspect ratio, ``letterbox`` adds bars, ``center_crop`` cuts the longer side."""
    colours: str = "rgb"
    scale: str = "0..1"
    """A name in `SCALES`, or ``custom``."""
    layout: str = "nhwc"
    mean: tuple[float, ...] = ()
    """Of red, green and blue on 0..1, with ``custom``."""
    std: tuple[float, ...] = ()
    fill: int = 0
    """Grey level of the bars of a letterbox; detectors of Ultralytics have 114."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return a picture in mode RGB as uint8 (height, width, 3)."""
        return resize_rgb(image, *self.size, self.resize, self.fill)

    def arrange(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels as the model gets them, float32, in its order of colours and dimensions."""
        if self.scale == "custom":
            mean, std = 255 * np.array(self.mean), 255 * np.array(self.std)
        else:
            mean, std = (np.array(values) for values in SCALES[self.scale])
        # In float32, as preprocessing is in PyTorch and Keras; whole levels stay exact.
        values = (pixels.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)
        if self.colours == "grey":
            values = values @ np.array([0.299, 0.587, 0.114], np.float32)[:, None]
        elif self.colours == "bgr":
            values = values[..., ::-1]
        return np.ascontiguousarray(values if self.layout == "nhwc" else np.moveaxis(values, -1, 0))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what `arrange` returns."""
        channels = 1 if self.colours == "grey" else 3
        return (*self.size, channels) if self.layout == "nhwc" else (channels, *self.size)

    def __str__(self) -> str:
        scale = f"mean {self.mean} std {self.std}" if self.scale == "custom" else self.scale
        resize = f"{self.resize} ({self.fill})" if self.fill else self.resize
        return f"{self.size[0]}x{self.size[1]} {resize}, {self.colours}, {scale}, {self.layout}"

    def option(self, other: PictureSpec) -> str:
        """Return the fields that differ from another spec as the command line takes them: ``colours=bgr``."""
        return ",".join(
            f"{field.name}={_written(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


def _written(value: Any) -> str:
    return "/".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value)


def declared_fields(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `PictureSpec` that a file or a list of key=value declares.

    It also reads the JSON object of the modality ``image`` in a bundle's manifest.

    Raises:
        ConfigError: unknown keys or wrong values, all of them.
    """
    if given.get("kind") == "image":
        return {
            "size": (int(given["height"]), int(given["width"])),
            "resize": given["resize"],
            "colours": "rgb",
            "scale": "0..255",
            "layout": "nhwc",
        }
    found: dict[str, Any] = {}
    problems = []
    valid = [field.name for field in dataclasses.fields(PictureSpec)]
    for key, value in given.items():
        name = {"colors": "colours", "channels": "colours", "range": "scale"}.get(key, key)
        try:
            found[name] = _value(name, value, valid)
        except ValueError as error:
            problems.append(f"{where}: {key}: {error}")
    if ("mean" in found) != ("std" in found):
        problems.append(f"{where}: expected mean and std together")
    elif "mean" in found:
        if found.setdefault("scale", "custom") != "custom":
            problems.append(f"{where}: scale and mean exclude each other; mean and std are on 0..1")
    elif found.get("scale") == "custom":
        problems.append(f"{where}: scale=custom expects mean and std, as in mean=0.5/0.5/0.5,std=0.2/0.2/0.2")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _value(name: str, value: Any, valid: list[str]) -> Any:
    """Return the value of one field, with a ValueError for a wrong one."""
    if name not in valid:
        raise ValueError(f"is unknown; {nearest(name, valid)}")
    if name in ("mean", "std"):
        numbers = value if isinstance(value, list | tuple) else re.split(r"[/\s]+", str(value))
        found = tuple(float(number) for number in numbers)
        found = found * 3 if len(found) == 1 else found
        if len(found) != 3 or not all(map(math.isfinite, found)) or (name == "std" and min(found) <= 0):
            raise ValueError(f"expected one or three numbers{' above 0' if name == 'std' else ''}, got {value!r:.60}")
        return found
    if name == "size":
        sides = value if isinstance(value, list | tuple) else re.split(r"[x/]", str(value).lower())
        size = tuple(int(side) for side in sides)
        if len(size) not in (1, 2) or min(size) < 1:
            raise ValueError(f"expected height and width, as in 224x224, got {value!r:.60}")
        return size if len(size) == 2 else size * 2
    if name == "fill":
        level = int(value)
        if not 0 <= level <= 255:
            raise ValueError(f"expected a grey level from 0 to 255, got {value!r:.60}")
        return level
    text = str(value).strip().lower().replace(" ", "")
    text = {**_ALSO, "gray": "grey", "crop": "center_crop"}.get(text, text)
    known = {"resize": RESIZES, "colours": COLOURS, "layout": LAYOUTS, "scale": (*SCALES, "custom")}[name]
    if text not in known:
        raise ValueError(f"{value!r:.60} is unknown; {nearest(text, known)}")
    return text


def inferred(tensor: Tensor, given: Mapping[str, Any], format: str, rescales: bool | None) -> tuple[PictureSpec, str]:
    """Return the spec of an input from what is declared and, for the rest, from the file; and what was inferred.

    Raises:
        ConfigError: the input is no picture, or the declaration does not fit its shape or type.
    """
    said: list[str] = []
    layout = given.get("layout") or _layout(tensor, format, said)
    height, width, channels = (tensor.shape[i] for i in ((0, 1, 2) if layout == "nhwc" else (1, 2, 0)))
    if channels not in (1, 3, None):
        raise ConfigError(f"input {tensor}: expected 1 or 3 channels of a picture in {layout}, got {channels}")
    if "size" in given:
        size = given["size"]
    elif height is None or width is None:
        raise ConfigError(f"input {tensor} takes any size: declare one with --input {tensor.name}=size=HEIGHTxWIDTH")
    else:
        size = (height, width)
    colours = given.get("colours") or ("grey" if channels == 1 else "rgb")
    scale = given.get("scale") or _scale(tensor, rescales, said)
    defaults = [f"{name} {value}" for name, value in (("colours", colours), ("resize", "stretch")) if name not in given]
    if defaults:
        said.append(f"{', '.join(defaults)} by default")
    rest = {name: given[name] for name in ("resize", "mean", "std", "fill") if name in given}
    spec = PictureSpec(size=size, colours=colours, scale=scale, layout=layout, **rest)
    fits = len(tensor.shape) == 3 and all(k in (None, size) for k, size in zip(tensor.shape, spec.shape, strict=True))
    if not fits:
        raise ConfigError(f"input {tensor}: a picture {spec} has the shape (B, {', '.join(map(str, spec.shape))})")
    if np.dtype(tensor.dtype).kind in "iu" and not tensor.scale and scale != "0..255":
        raise ConfigError(f"input {tensor} takes whole numbers: expected scale=0..255, got {scale}")
    return spec, "; ".join(said)


def _layout(tensor: Tensor, format: str, said: list[str]) -> str:
    if len(tensor.shape) != 3:
        raise ConfigError(f"input {tensor}: expected the three dimensions of a picture, got {len(tensor.shape)}")
    last, first = tensor.shape[2] in (1, 3), tensor.shape[0] in (1, 3)
    if last != first:
        return "nhwc" if last else "nchw"
    layout = "nchw" if format in ("onnx", "tensorrt") else "nhwc"
    said.append(f"the shape allows both layouts; {layout} as is usual for {format}")
    return layout


def _scale(tensor: Tensor, rescales: bool | None, said: list[str]) -> str:
    kind = np.dtype(tensor.dtype).kind
    if tensor.scale:
        least, most = tensor.limits
        for name, span in (("0..255", (0, 255)), ("0..1", (0, 1)), ("-1..1", (-1, 1))):
            if np.allclose((least, most), span, atol=0.02 * (span[1] - span[0])):
                said.append(f"scale {name} from the quantisation, which holds {least:.4g} to {most:.4g}")
                return name
        said.append(f"scale 0..1 ASSUMED: the quantisation holds {least:.4g} to {most:.4g}")
        return "0..1"
    if kind in "iu":
        return "0..255"
    if rescales:
        said.append("scale 0..255, because the model has a layer that rescales")
        return "0..255"
    said.append("scale 0..1 ASSUMED")
    return "0..1"
