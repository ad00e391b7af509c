"""Trains one variant of a camera and radar run with one seed, in a process of its own: ``RUN VARIANT SEED``.

python -m pipelines._variant runs/camera_radar/latest radar_only 1
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.console import Console
from mmkeras.files import write_json
from mmkeras.terminal import utf8_program

if TYPE_CHECKING:
    from mmkeras.evaluation.samples import Samples
    from mmkeras.training.run import Run

__all__ = ["BATCH", "DEAD", "SCORES", "SHOWN", "main", "measure"]

SHOWN = ("mAP", "NDS_front", "velocity_error")
"""The metrics of a comparison."""
DEAD = "mAP_{}_dead"
"""mAP with one of the sensors dead, where there are two."""
BATCH = 64
"""Samples that are predicted at a time."""
SCORES = "scores.json"
"""Written when a variant is finished: {"all", "night"} -> the metrics on those test samples."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score ``RUN VARIANT SEED``; an interrupted training goes on. Return the exit status."""
    from mmkeras.command_line import parse
    from mmkeras.evaluation.samples import read
    from mmkeras.model import build_model, modality_specs, task_spec
    from mmkeras.training.environment import prepare
    from mmkeras.training.fit import fit
    from mmkeras.training.interrupts import Interrupted
    from mmkeras.training.run import Run
    from pipelines.camera_radar import CameraRadarConfig

    base, variant, seed = sys.argv[1:] if arguments is None else arguments
    parent = Run.open(Path(base))
    whole, _ = parse(
        CameraRadarConfig, ["--config", str(parent.folder / "config.toml")], program="_variant", description=""
    )
    train = dataclasses.replace(whole.train, seed=int(seed))
    config = dataclasses.replace(whole, model=whole.variant(variant), train=train)
    index = parent.index
    decided = prepare(train)
    folder = parent.folder / "comparison" / f"{variant}-{seed}"
    resume = (folder / "run.json").is_file()
    if resume:
        run = Run.open(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        specs, task = modality_specs(config.model), task_spec(config.model)
        run = Run.create(folder, config, specs, task, index, decided, latest=False)
    try:
        fit(build_model(config.model), run, config, index, console=Console(), resume=resume)
    except Interrupted:
        return 130
    samples = read(index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
    write_json(folder / SCORES, measure(run.model(), samples, run))
    return 0


def measure(model: Any, samples: Samples, run: Run) -> dict[str, Any]:
    """Return the scores of a model on the whole test split, with each of its sensors dead, and on its nights."""
    from mmkeras.evaluation.predict import Variant, predict

    def scores(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> dict[str, float | None]:
        part = {name: value[chosen] for name, value in outputs.items()}
        score = run.task.score(samples.targets[chosen], part, samples.weights[chosen])
        return {name: float(score[name]) if np.isfinite(score[name]) else None for name in SHOWN}

    whole = np.ones(len(samples), bool)
    intact = predict(model, samples, run.specs, batch_size=BATCH, variant=Variant())
    everything = scores(intact, whole)
    for name in run.specs if len(run.specs) > 1 else ():
        dead = predict(model, samples, run.specs, batch_size=BATCH, variant=Variant(absent=frozenset({name})))
        everything[DEAD.format(name)] = scores(dead, whole)["mAP"]
    night = np.asarray(samples.columns.get("time_of_day", np.full(len(samples), ""))) == "night"
    return {"all": everything, "night": scores(intact, night) if night.any() else {}}


if __name__ == "__main__":
    sys.exit(main())
