"""Pictures with masks as samples, with or without texts that name what to find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import Sample
from mmkeras.data.sources._prompts import Wordings, draw_prompt

__all__ = ["Scene", "samples_of"]


@dataclass(frozen=True)
class Scene:
    """A picture and its mask."""

    key: str
    picture: Path
    mask: Path
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    """The picture itself by default."""


def samples_of(
    scene: Scene,
    labels: Sequence[str],
    void: Sequence[int],
    *,
    modality: str,
    text: str,
    prompts: int,
    wordings: Wordings,
    seed: int,
    new: bool = False,
) -> Iterator[Sample]:
    """Yield a picture with its mask, once without prompts, else once for each of its texts.

    Args:
        scene: the picture.
        labels: the classes by the numbers of the mask.
        void: numbers of pixels without a class.
        modality: name of the model's image modality.
        text: name of the model's text modality.
        prompts: texts of the picture.
        wordings: of each class.
        seed: of the texts.
        new: use wordings that are kept for new texts.
    """
    group, columns = scene.group or scene.key, dict(scene.columns)
    if missing := [path for path in (scene.picture, scene.mask) if not path.is_file()]:
        problem = DataError(
            f"{missing[0]}: Expected a picture and a mask of the same name, got no such file. "
            "Add it, or remove the other one"
        )
        yield Sample(scene.key, {}, problem, scene.split, group, origin=str(scene.picture))
        return
    target = {"mask": str(scene.mask), "picture": str(scene.picture)}
    values = {modality: str(scene.picture)}
    if not prompts:
        yield Sample(scene.key, values, target, scene.split, group, columns=columns, origin=str(scene.mask))
        return
    try:
        present = _present(scene.mask, labels, void)
    except DataError as error:
        yield Sample(scene.key, {}, error, scene.split, group, origin=str(scene.mask))
        return
    for number in range(prompts):
        prompt = draw_prompt(wordings, present, f"{seed} {scene.key} {number}", new=new)
        asked = None if prompt.asked is None else list(prompt.asked)
        yield Sample(
            key=f"{scene.key}#{number}",
            values={**values, text: prompt.text},
            target={**target, "asked": asked},
            split=scene.split,
            group=group,
            columns=columns | {"prompt": prompt.kind},
            origin=str(scene.mask),
        )


def _present(mask: Path, labels: Sequence[str], void: Sequence[int]) -> list[str]:
    """Return the labels that a mask has; none of one that cannot be read, which the conversion reports.

    Raises:
        DataError: a mask of colours.
    """
    from mmkeras.media.image.formats import open_image
    from mmkeras.media.image.pixels import read_bytes

    try:
        with open_image(read_bytes(mask), str(mask)) as image:
            pixels = np.asarray(image)
    except (DataError, OSError, ValueError, SyntaxError):
        return []
    if pixels.ndim != 2:
        raise DataError(f"{mask}: Expected a mask of numbers to draw texts for, got colours. Set prompts to 0")
    numbers = np.unique(pixels)
    return [labels[int(number)] for number in numbers if int(number) < len(labels) and int(number) not in void]
