"""Trains a model with Keras ``fit``, from the start or from a checkpoint."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.data.index import Index
from mmkeras.layers.batch import Losses
from mmkeras.layers.keras_files import copy_weights
from mmkeras.model import learning_rate_factors, task_config, task_spec
from mmkeras.training.batches import blocks, training_batches, validation_batches
from mmkeras.training.checkpoints import Checkpoints, Diverged, State
from mmkeras.training.cluster.agreement import Agreement
from mmkeras.training.cluster.batch_plan import plan_batch
from mmkeras.training.cluster.connect import ALONE, Cluster
from mmkeras.training.cluster.input_wait import InputWait
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.cluster.spread import distributed, spread
from mmkeras.training.divergence import FiniteLoss, save_batch
from mmkeras.training.divergence import explain as explain_divergence
from mmkeras.training.host_score import HostScore
from mmkeras.training.input_clock import InputClock
from mmkeras.training.interrupts import Interrupted, Interrupts
from mmkeras.training.lost_data import LOST_DATA, report_lost, without_lost
from mmkeras.training.objective import Objective
from mmkeras.training.optimizer import build_optimizer, variable_factors
from mmkeras.training.progress import TerminalProgress
from mmkeras.training.run import Run
from mmkeras.training.tensorboard import Monitor

__all__ = ["Fitted", "compile_model", "fit"]


@dataclass(frozen=True)
class Fitted:
    """What training came to."""

    history: list[dict[str, float]]
    """Logs of every epoch."""
    best_epoch: int
    """The epoch, from 1, that ``best.keras`` is from."""
    stopped_early: bool
    """Whether early stopping ended it."""


def compile_model(
    model: keras.Model, config: RunConfig, index: Index, steps: int, *, jit_compile: bool = False
) -> Objective | None:
    """Compile a model with its head's losses and the run's optimizer.

    Args:
        model: from `build_model`.
        config: the resolved configuration.
        index: for the class balance.
        steps: training steps of the whole run.
        jit_compile: whether XLA compiles the step.

    Returns:
        The model's objective where its head has a loss hook or its fusion has extra outputs; else None, and Keras does
        all of it.
    """
    head = find("tasks", config.model.task.name, "head")
    task, spec = task_config(config.model), task_spec(config.model)
    class_counts = index.splits["train"].classes
    losses: Losses = head.losses(spec, task, class_counts)
    model.compile(
        optimizer=build_optimizer(config.train, steps, variable_factors(model, learning_rate_factors(config.model))),
        loss=None if callable(losses) else losses,
        jit_compile=jit_compile,
    )
    graph = getattr(model, "float_model", model)
    outputs = getattr(find("fusion", config.model.fusion.name), "extra_outputs", None)
    extra = None if outputs is None else outputs(graph)
    if extra is None and not callable(losses):
        return None
    return Objective(model, losses, class_counts or {}, extra, graph)


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
    """Train a model; the best one is in the run's ``best.keras`` afterwards.

    Of several workers all come back at the same step; what is written is written by the chief.

    Args:
        model: from `build_model`, in the cluster's scope.
        run: the run's folder.
        config: the resolved configuration.
        index: the converted data.
        console: where progress is shown.
        resume: go on from the run's newest checkpoint, with the same result as without the break.
        draw: pictures for TensorBoard after every epoch.
        cluster: the devices that share every batch.
        copy: the same model on this process's own device, asked while the other is spread; needed with a strategy.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, to this worker or another; the state is saved.
        PeerLostError: another worker has died.
        ConfigError: the batch cannot be shared evenly.
        TrainingError: the training split is smaller than a batch, or the loss is not finite; the batch is kept.
        DataError: a shard vanished, or more records are damaged than ``data.max_bad_records``; the state is saved.
    """
    plan = plan_batch(config, cluster)
    config = dataclasses.replace(config, train=plan.train(config.train))
    train = config.train
    console.print(plan.explain(), highlight=False, soft_wrap=True)
    samples = index.splits["train"].samples
    if samples < train.batch_size:
        raise TrainingError(
            f"train.batch_size: {train.batch_size} samples in a step, but the training split has {samples}. "
            "Use a smaller batch or more data."
        )
    steps_per_epoch = train.steps_per_epoch or samples // train.batch_size
    state, objective = _prepared(model, run, config, index, cluster, steps_per_epoch, resume=resume)
    finished = state.waited >= train.early_stopping if train.early_stopping else False
    if state.step >= train.epochs * steps_per_epoch or finished:
        console.print("Training had already finished; nothing is left to resume.")
        return Fitted(state.history, state.best_epoch, finished)

    # TensorFlow refuses time stamps in graphs that must be deterministic.
    clock = None if train.deterministic else InputClock()
    validation = validation_batches(index, run, config, cluster)
    checkpoints = Checkpoints(
        run.folder,
        f"val_{run.task.metric}",
        run.task.metric_sign,
        patience=train.early_stopping,
        every_steps=train.checkpoint_steps,
        every_minutes=train.checkpoint_minutes,
        writes=cluster.chief,
        keeps_metrics=cluster.strategy is None,
        state=state,
    )

    def own(trained: keras.Model) -> keras.Model:
        """Return a model that this process can ask without the others."""
        if copy is None:
            return trained
        copy_weights(trained, copy)
        return copy

    host = [] if validation is None else [HostScore(validation, run.task, own, cluster, run.folder)]
    pictures = None if draw is None else lambda trained: draw(own(trained))
    agreement = Agreement(every=10 if tf.config.list_physical_devices("GPU") else 1) if cluster.members else None
    watching: list[keras.callbacks.Callback] = []
    if cluster.chief:
        watching = [Monitor(run.folder, config, clock, first_step=state.step, draw=pictures)]
        report_lost(index, run, watching)
    elif clock is not None:
        watching = [InputWait(run.folder / "workers" / str(cluster.rank), clock, first_step=state.step)]
    with Interrupts(agreement) as interrupts:
        callbacks = [
            FiniteLoss(checkpoints),
            *host,
            *watching,
            checkpoints,
            TerminalProgress(console, train.epochs, steps_per_epoch),
            interrupts,
        ]

        def batches() -> tf.data.Dataset:
            at = {"step": state.step, "steps_per_epoch": steps_per_epoch}
            return training_batches(index, run, config, cluster, **at, clock=clock)

        def end() -> None:
            for callback in callbacks:
                callback.on_train_end()

        data: Any = batches()
        if objective is not None:
            with cluster.scope():
                objective.prepare(data.element_spec)
        try:
            with cluster.watched(), spread(model, cluster, plan.per_replica, data.element_spec, agreement):
                while not model.stop_training and state.step < train.epochs * steps_per_epoch:
                    first, last, steps = blocks(state.step, train.epochs, steps_per_epoch)[0]
                    data = batches() if data is None else data
                    try:
                        model.fit(
                            distributed(cluster, data),
                            initial_epoch=first,
                            epochs=last,
                            steps_per_epoch=steps,
                            validation_data=None if validation is None else distributed(cluster, validation),
                            callbacks=callbacks,
                            shuffle=False,
                            verbose=0,
                        )
                    except LOST_DATA as error:
                        end()
                        index = without_lost(error, index, config, cluster, checkpoints, steps_per_epoch, console)
                        report_lost(index, run, watching)
                        validation = validation_batches(index, run, config, cluster)
                        for each in host:
                            each.validation = validation
                    data = None
                cluster.barrier("trained")
        except Interrupted as stop:
            end()
            saved = checkpoints.save()
            cluster.barrier("stopped")
            raise Interrupted(
                f"Training stopped by {stop} after step {state.step}; the state is saved in {os.path.relpath(saved)}."
            ) from None
        except Diverged as error:
            end()
            path = save_batch(model, run, config, index, cluster, error.step, steps_per_epoch, objective)
            raise explain_divergence(path, error.step, 1 + (error.step - 1) // steps_per_epoch) from None
        except PeerLostError:
            end()
            raise
    return Fitted(state.history, state.best_epoch, checkpoints.stopped_early)


def _prepared(
    model: keras.Model,
    run: Run,
    config: RunConfig,
    index: Index,
    cluster: Cluster,
    steps_per_epoch: int,
    *,
    resume: bool,
) -> tuple[State, Objective | None]:
    """Compile the model in the cluster's scope.

    Returns:
        The state to go on from, loaded where the run resumes, and the objective, see `compile_model`.
    """
    decided = run.provenance["decided"]
    if cluster.strategy is not None and decided["precision"] == "mixed_float16":
        raise TrainingError(
            "train.precision: mixed_float16 scales losses on each device by itself and cannot be spread; use "
            "mixed_bfloat16 or float32"
        )
    with cluster.scope():
        objective = compile_model(
            model,
            config,
            index,
            config.train.epochs * steps_per_epoch,
            # TensorFlow has no XLA for collectives between workers.
            jit_compile=decided["jit_compile"] and cluster.strategy is None,
        )
        state = Checkpoints.load(run.folder, model) if resume else State()
    if state.batch_size not in (None, config.train.batch_size):
        raise TrainingError(
            f"{os.path.relpath(run.folder)}: was trained with {state.batch_size} samples per step, now there would be "
            f"{config.train.batch_size}. Resume on as many devices as before, or train with cluster.batch = global"
        )
    state.batch_size = config.train.batch_size
    return state, objective
