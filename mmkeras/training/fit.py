"""Trains a model with Keras ``fit``, from the start or from a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from mmkeras.components import find
from mmkeras.config import RunConfig, modality_configs
from mmkeras.data.dataset import eval_dataset, train_dataset
from mmkeras.data.index import Index
from mmkeras.errors import TrainingError
from mmkeras.model import learning_rate_factors, task_config
from mmkeras.training.checkpoints import Checkpoints, State
from mmkeras.training.host_score import HostScore
from mmkeras.training.input_clock import InputClock
from mmkeras.training.interrupts import Interrupted, Interrupts
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
) -> None:
    """Compile a model with its head's losses and metrics and the run's optimizer.

    Args:
        model: from `build_model`.
        config: the resolved configuration.
        index: for the class balance.
        steps: training steps of the whole run.
        jit_compile: whether XLA compiles the step.
    """
    head = find("tasks", config.model.task.name, "head")
    task = task_config(config.model)
    model.compile(
        optimizer=build_optimizer(config.train, steps, variable_factors(model, learning_rate_factors(config.model))),
        loss=head.losses(task.spec(), task, index.splits["train"].classes),
        weighted_metrics=head.metrics(task.spec()),
        jit_compile=jit_compile,
    )


def fit(
    model: keras.Model,
    run: Run,
    config: RunConfig,
    index: Index,
    *,
    console: Console,
    resume: bool = False,
    draw: Callable[[keras.Model], dict[str, np.ndarray]] | None = None,
) -> Fitted:
    """Train a model; the best one is in the run's ``best.keras`` afterwards.

    Args:
        model: from `build_model`.
        run: the run's folder.
        config: the resolved configuration.
        index: the converted data.
        console: where progress is shown.
        resume: go on from the run's newest checkpoint, with the same result as without the break.
        draw: pictures for TensorBoard after every epoch.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
        TrainingError: the training split is smaller than a batch, or the loss is not finite.
    """
    train = config.train
    samples = index.splits["train"].samples
    if samples < train.batch_size:
        raise TrainingError(
            f"train.batch_size: {train.batch_size} samples in a step, but the training split has {samples}. "
            "Use a smaller batch or more data."
        )
    steps_per_epoch = train.steps_per_epoch or samples // train.batch_size
    compile_model(
        model,
        config,
        index,
        train.epochs * steps_per_epoch,
        jit_compile=run.provenance["decided"]["jit_compile"],
    )
    state = Checkpoints.load(run.folder, model) if resume else State()
    finished = state.waited >= train.early_stopping if train.early_stopping else False
    if state.step >= train.epochs * steps_per_epoch or finished:
        console.print("Training had already finished; nothing is left to resume.")
        return Fitted(state.history, state.best_epoch, finished)

    # TensorFlow refuses time stamps in graphs that must be deterministic.
    clock = None if train.deterministic else InputClock()
    validation = None
    if index.samples("validation"):
        size = config.evaluate.batch_size
        validation = eval_dataset(index, "validation", run.specs, run.task, batch_size=size, cache="memory")
    checkpoints = Checkpoints(
        run.folder,
        f"val_{run.task.metric}",
        run.task.metric_sign,
        patience=train.early_stopping,
        every_steps=train.checkpoint_steps,
        state=state,
    )
    # A task whose metric Keras cannot keep has it computed from decoded answers.
    scored = find("tasks", config.model.task.name, "head").metrics(run.task)
    by_keras = any(metric.name == run.task.metric for each in scored.values() for metric in each)
    host = [] if by_keras or validation is None else [HostScore(validation, run.task)]
    with Interrupts() as interrupts:
        callbacks = [
            *host,
            Monitor(run.folder, config, clock, first_step=state.step, draw=draw),
            checkpoints,
            TerminalProgress(console, train.epochs, steps_per_epoch),
            keras.callbacks.TerminateOnNaN(),
            interrupts,
        ]
        try:
            for first, last, steps in _blocks(state.step, train.epochs, steps_per_epoch):
                model.fit(
                    _batches(index, run, config, checkpoints.state.step, steps_per_epoch, clock),
                    initial_epoch=first,
                    epochs=last,
                    steps_per_epoch=steps,
                    validation_data=validation,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
                if model.stop_training:
                    break
        except Interrupted as stop:
            for callback in callbacks:
                callback.on_train_end()
            saved = checkpoints.save()
            raise Interrupted(
                f"Training stopped by {stop} after step {checkpoints.state.step}; the state is saved in "
                f"{os.path.relpath(saved)}."
            ) from None
    if checkpoints.diverged:
        raise TrainingError(
            f"The loss stopped being a finite number in epoch {len(checkpoints.state.history) + 1}. Lower "
            "train.learning_rate, set train.clip_norm, or look for bad values in the data."
        )
    return Fitted(state.history, state.best_epoch, checkpoints.stopped_early)


def _batches(
    index: Index, run: Run, config: RunConfig, step: int, steps_per_epoch: int, clock: InputClock | None
) -> tf.data.Dataset:
    """Return the training batches from a step on; every call of ``fit`` begins its dataset anew."""
    data = train_dataset(
        index,
        run.specs,
        modality_configs(config.model),
        run.task,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        start_step=step,
        modality_dropout=config.train.modality_dropout,
        modality_dropout_start=round(config.train.modality_dropout_start * config.train.epochs * steps_per_epoch),
        cache=config.data.cache,
        shuffle_buffer=config.data.shuffle_buffer,
    )
    return data if clock is None else clock.watch(data)


def _blocks(step: int, epochs: int, steps_per_epoch: int) -> list[tuple[int, int, int]]:
    """Return (first epoch, last epoch, steps) of each call of ``fit``: the rest of a broken epoch, then the others."""
    epoch, done = divmod(step, steps_per_epoch)
    if done == 0:
        return [(epoch, epochs, steps_per_epoch)]
    blocks = [(epoch, epoch + 1, steps_per_epoch - done)]
    return blocks if epoch + 1 == epochs else [*blocks, (epoch + 1, epochs, steps_per_epoch)]
