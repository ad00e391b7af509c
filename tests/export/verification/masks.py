"""A source whose outputs are large maps, and how much memory its verification takes.

python -m tests.export.verification.masks                  # 500 samples, outputs of 360 x 480 x 12
python -m tests.export.verification.masks 100 96 128
"""

from __future__ import annotations

import io
import resource
import sys
from typing import Any

import keras
import numpy as np
from PIL import Image

from export.source import Sample, Source
from export.verification.passes import keras_infer
from export.verification.verify import Reference
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.segmentation.spec import Config

__all__ = ["main", "mask_model", "mask_source"]

LABELS = tuple(f"class {i}" for i in range(12))


def mask_model(size: tuple[int, int], seed: int = 0) -> keras.Model:
    """Return a model from two pictures to the scores (H, W, 12) of every pixel."""
    keras.utils.set_random_seed(seed)
    inputs: dict[str, Any] = {}
    seen = []
    for name in ("left", "right"):
        picture = keras.Input((*size, 3), dtype="uint8", name=name)
        present = keras.Input((), name=f"{name}_present")
        inputs |= {name: picture, f"{name}_present": present}
        values = keras.layers.Rescaling(1 / 255)(picture)
        seen.append(values * keras.ops.reshape(present, (-1, 1, 1, 1)))
    mixed = keras.layers.Concatenate()(seen)
    mask = keras.layers.Conv2D(len(LABELS), 1, name="mask")(mixed)
    return keras.Model(inputs, {"mask": mask})


def mask_source(samples: int, size: tuple[int, int], model: keras.Model) -> Source:
    """Return two random pictures and a random mask per sample."""
    rng = np.random.default_rng(0)
    specs = {name: ImageConfig(size=size).spec(name) for name in ("left", "right")}

    def picture() -> bytes:
        stream = io.BytesIO()
        small = rng.integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size[::-1], Image.Resampling.NEAREST).save(stream, "PNG")
        return stream.getvalue()

    def mask() -> np.ndarray:
        return rng.integers(0, len(LABELS), size, dtype=np.uint8)

    drawn = [Sample(f"{i}", {"left": picture(), "right": picture()}, mask()) for i in range(samples)]
    return Source("masks", model, dict(specs), Config(LABELS).spec(specs), drawn)


def main(samples: int = 500, height: int = 360, width: int = 480) -> None:
    """Hold a model with slightly other weights to a model in every scenario and print the peak of memory."""
    model, other = mask_model((height, width)), mask_model((height, width))
    other.set_weights([weight * 1.001 for weight in other.get_weights()])
    source, infer = mask_source(samples, (height, width), model), keras_infer(other)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reference = Reference(source)
    for case in reference.cases:
        reference.measure(case, infer, 1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak {after / 1024:.0f} MiB, of which {before / 1024:.0f} MiB before the verification")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
