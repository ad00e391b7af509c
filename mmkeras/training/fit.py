"""Trains a model stage by stage, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.data.index import Index
from mmkeras.layers.keras_files import load_weights
from mmkeras.training.cluster.connect import ALONE, Cluster
from mmkeras.training.run import Run
from mmkeras.training.stage_fit import StageFit
from mmkeras.training.stage_plan import Fitted, plan_stage
from mmkeras.training.stages import stages_of

__all__ = ["Fitted", "fit"]


def fit(
    model: keras.Model,
    run: Run,
    config: RunConfig,
    index: Index,
    *,
    console: Console,
    resume: bool = False,
    draw: Callable[[keras.Model], dict[str, np.ndarray]] | None = None,
    cluster: Cluster = ALONE,
    copy: keras.Model | None = None,
) -> Fitted:
    """Train a model in the stages of its run, and write the best model to the run's ``best.keras``.

    Each stage starts from the best weights of the stage before, and adds its result to run.json. All workers of a
    cluster return after the same step; only the chief writes.

    Args:
        model: from `build_model`, in the cluster's scope.
        run: the run's folder.
        config: the resolved configuration.
        index: the converted data.
        console: shows the progress.
        resume: continue from the newest checkpoint of the stage that was stopped, with the same result as without the
            interruption; earlier stages are not repeated.
        draw: returns pictures for TensorBoard after every epoch.
        cluster: the devices that share every batch.
        copy: the same model on this process's own device, which predicts if a strategy distributes ``model``.

    Returns:
        The result of the last stage.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, to this worker or another; the state is saved.
        PeerLostError: another worker has died.
        ConfigError: the stages are invalid, or the batch cannot be divided evenly.
        TrainingError: the training split is smaller than a batch, or the loss is not finite; the batch is saved.
        DataError: a shard is missing, or more records are damaged than ``data.max_bad_records``; the state is saved.
    """
    plans = [plan_stage(stage, index, cluster) for stage in stages_of(config, run, index)]
    for number, plan in enumerate(plans):
        stage = plan.stage
        if len(plans) > 1:
            # A resumed stage must build the new layers of its method with the same weights.
            keras.utils.set_random_seed(stage.config.train.seed + number)
        own = None if copy is None or not stage.method.has_task_outputs else stage.method.model(copy, stage.context)
        with cluster.scope():
            trained = stage.method.model(model, stage.context)
        training = StageFit(plan, trained, index, console=console, draw=draw, cluster=cluster, copy=own)
        fitted = training.fit(resume=resume)
        index = training.index
        if cluster.chief:
            run.note_stage({"name": stage.name, "method": stage.kind, **fitted.summary()})
        if plan is not plans[-1]:
            with cluster.scope():
                load_weights(trained, stage.folder / "best.keras")
    return fitted
