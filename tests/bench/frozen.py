"""Training time with a frozen picture branch whose outputs are computed once, as a share of the time without that.

    python -m tests.bench.frozen --record

One process trains the same network on the same pictures for 10 epochs, with ``data.frozen_cache_gib`` as it is and with
0, one after the other. Each side is one whole ``fit``: tracing, computing the outputs, training, validation and
checkpoints. CPU seconds of the process are compared, so that other programs on the machine do not matter; the wall
clock is printed beside them.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmkeras.core.command_line import parse
from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.core.weight_packages import EDGE_IMAGENET
from pipelines._stages.results import record
from pipelines.table import TableConfig

__all__ = ["main"]

_CONFIG = """
name = "frozen"
[data]
folder = "{folder}/data"
[data.source]
name = "table"
[data.source.options]
path = "{folder}/table.csv"
columns = {{ image = "picture" }}
target = "label"
split = "split"
[model]
width = 64
fusion = {{ name = "attention_pooling" }}
task = {{ name = "classification" }}
[model.image]
kind = "image"
size = [{size}, {size}]
architecture = "edge"
weights = "{weights}"
top = true
frozen_stages = -1
[train]
epochs = {epochs}
batch_size = 32
"""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 where it cannot be measured."""
    parser = argparse.ArgumentParser("python -m tests.bench.frozen", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000, help="of the training split (%(default)s)")
    parser.add_argument("--size", type=int, default=192, help="of the pictures, in pixels (%(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the number into docs/results.json")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console = Console()
    try:
        ratio = _measure(given.pictures, given.size, given.epochs, console)
        if given.record:
            result = record("cache.frozen", 100 * ratio)
            console.print(f"recorded cache.frozen: {result.value:.2f} % (bar {result.bar:g} %, goal {result.goal:g} %)")
    except MmkerasError as error:
        print_error(error)
        return 2
    return 0


def _measure(pictures: int, size: int, epochs: int, console: Console) -> float:
    EDGE_IMAGENET.path()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write(folder, pictures)
        text = _CONFIG.format(folder=folder, size=size, epochs=epochs, weights="imagenet")
        (folder / "run.toml").write_text(text, encoding="utf-8")
        seconds = {}
        for name, options in (("computed once", []), ("in every step", ["--data.frozen_cache_gib", "0"])):
            seconds[name] = _fit(folder, name, options, console)
    for name, (cpu, wall) in seconds.items():
        console.print(f"{name}: {cpu:.1f} CPU seconds, {wall:.1f} s", highlight=False)
    ours, theirs = seconds.values()
    console.print(f"ratio: {ours[0] / theirs[0]:.3f} of the CPU time, {ours[1] / theirs[1]:.3f} of the time")
    return ours[0] / theirs[0]


def _write(folder: Path, pictures: int) -> None:
    """Write pictures with a bright patch on the left or right; a quarter as many for validation and for the test."""
    from PIL import Image

    rng = np.random.default_rng(0)
    lines = ["picture,label,split"]
    for split, count in (("train", pictures), ("validation", pictures // 4), ("test", 32)):
        for number in range(count):
            left = bool(rng.integers(2))
            pixels = rng.integers(0, 120, (96, 96, 3)).astype("uint8")
            pixels[32:64, 8 if left else 64 :][:, :24] = 250
            Image.fromarray(pixels).save(folder / f"{split}-{number}.png")
            lines.append(f"{split}-{number}.png,{'left' if left else 'right'},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fit(folder: Path, name: str, options: Sequence[str], console: Console) -> tuple[float, float]:
    """Train one side; return CPU seconds and seconds of its ``fit``."""
    import keras

    from mmkeras.data.convert import convert
    from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
    from mmkeras.training.environment import prepare
    from mmkeras.training.fit import fit
    from mmkeras.training.resolve import resolve
    from mmkeras.training.run import Run

    config, _ = parse(TableConfig, ["--config", str(folder / "run.toml"), *options], program="bench", description="")
    index = convert(config.data, specs_before_data(config.model), task_config(config.model), console)
    decided = prepare(config.train)
    place = folder / name.replace(" ", "-")
    place.mkdir()
    config = resolve(config, index, place)
    run = Run.create(place, config, modality_specs(config.model), task_spec(config.model), index, decided, latest=False)
    keras.utils.set_random_seed(config.train.seed)
    model = build_model(config.model)
    began, cpu = time.monotonic(), _cpu_seconds()
    fit(model, run, config, index, console=console)
    return _cpu_seconds() - cpu, time.monotonic() - began


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
