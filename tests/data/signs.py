"""Small sets of traffic signs in the layouts of GTSRB."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def photo(number: int, track: int, frame: int, side: int = 40) -> Image.Image:
    """Return a photo of a sign: its class by colour and bars, its track by the background, its frame by its size."""
    rng = np.random.default_rng(1000 * number + track)
    coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((40, 40), 2)).copy()
    edge = 4 + frame % 6
    pixels[edge : 40 - edge, edge : 40 - edge] = [255 * part for part in colorsys.hsv_to_rgb(number / 43, 1, 1)]
    pixels[14:26, 12 : 14 + 3 * (number % 5)] = 255
    return Image.fromarray(pixels).resize((side, side), 2)


def write_official(root: Path, classes: int = 3, tracks: int = 4, frames: int = 3) -> Path:
    """Write tracks in the official layout below ``root/GTSRB/Final_Training``; return ``root``."""
    for number in range(classes):
        folder = root / "GTSRB" / "Final_Training" / "Images" / f"{number:05d}"
        folder.mkdir(parents=True)
        lines = [HEADER]
        for track in range(tracks):
            for frame in range(frames):
                name = f"{track:05d}_{frame:05d}.ppm"
                photo(number, track, frame).save(folder / name)
                lines.append(f"{name};40;40;5;5;35;35;{number}")
        (folder / f"GT-{number:05d}.csv").write_text("\n".join(lines) + "\n")
    return root


def write_test(root: Path, count: int = 6, classes: int = 3) -> Path:
    """Write the official test pictures, with their classes in a file of its own, as two archives give them."""
    folder = root / "GTSRB" / "Final_Test" / "Images"
    folder.mkdir(parents=True)
    names = [f"{place:05d}.ppm" for place in range(count)]
    for place, name in enumerate(names):
        photo(place % classes, 90 + place, 0).save(folder / name)
    rows = [f"{name};40;40;5;5;35;35" for name in names]
    (folder / "GT-final_test.test.csv").write_text("\n".join([HEADER.removesuffix(";ClassId"), *rows]) + "\n")
    rows = [f"{row};{place % classes}" for place, row in enumerate(rows)]
    (root / "GT-final_test.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


def write_listed(root: Path, signs: list[tuple[int, int, int]], side: int = 60) -> Path:
    """Write pictures (class, track, frame) with one list of them; return ``root``."""
    (root / "images").mkdir(parents=True)
    lines = ["file,class_id,class_name,track,frame,width,height"]
    for number, track, frame in signs:
        name = f"{number:05d}_{track:05d}_{frame:05d}.png"
        photo(number, track, frame, side).save(root / "images" / name)
        lines.append(f"{name},{number},name,{track:05d},{frame:05d},{side},{side}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root
