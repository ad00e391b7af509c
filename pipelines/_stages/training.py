"""The training stage of every pipeline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.training.run import TRAINED
from pipelines._stages.cluster import Joined
from pipelines._stages.contract import ConfigT

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.training.run import Run

__all__ = ["train_model"]


def train_model(
    joined: Joined[ConfigT],
    run: Run,
    config: ConfigT,
    index: Index,
    models: tuple[Any, Any],
    program: str,
    query: str,
    console: Console,
) -> int | None:
    """Train a model; return the exit status if Ctrl-C stopped the training, else None.

    ``models`` are the model, and its copy if it is distributed; ``program`` names the pipeline in the command that
    continues the run; ``query`` is the querying modality of a cross-attention fusion.
    """
    from mmkeras.evaluation.samples import read
    from mmkeras.evaluation.watch import EpochPictures
    from mmkeras.training.fit import fit
    from mmkeras.training.interrupts import Interrupted

    cluster, (model, copy) = joined.cluster, models
    console.print(f"watch it:       tensorboard --logdir {config.runs}", soft_wrap=True)
    console.print("stop and go on: Ctrl-C, then the same command with --resume alone", soft_wrap=True)
    draw = None
    if index.samples("validation") and cluster.chief:
        validation = read(index, "validation", run.specs, run.task)
        draw = EpochPictures(validation, run.specs, run.task, shown=config.evaluate.pictures, query=query)
    resume = joined.resumed is not None
    try:
        fitted = fit(model, run, config, index, console=console, resume=resume, draw=draw, cluster=cluster, copy=copy)
    except Interrupted as stop:
        command = f"python -m pipelines.{program} --resume {os.path.relpath(run.folder)}"
        console.print(Text.assemble(f"{stop} Go on with: ", (command, "bold")), soft_wrap=True)
        return 130
    console.print(f"best epoch: {fitted.best_epoch}" + (" (stopped early)" if fitted.stopped_early else ""))
    if cluster.chief:
        run.note(TRAINED)
    return None
