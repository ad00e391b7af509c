"""Trains one stage of a run with Keras ``fit``; this is common to all training methods."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.data.index import Index
from mmkeras.layers.keras_files import copy_weights
from mmkeras.training.batches import blocks, training_batches, validation_batches
from mmkeras.training.checkpoints import Checkpoints, Diverged
from mmkeras.training.cluster.agreement import Agreement
from mmkeras.training.cluster.connect import ALONE, Cluster
from mmkeras.training.cluster.input_wait import InputWait
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.cluster.spread import distributed, spread
from mmkeras.training.compiling import compile_model
from mmkeras.training.divergence import FiniteLoss, save_batch
from mmkeras.training.divergence import explain as explain_divergence
from mmkeras.training.host_score import HostScore
from mmkeras.training.input_clock import InputClock
from mmkeras.training.interrupts import Interrupted, Interrupts
from mmkeras.training.lost_data import LOST_DATA, report_lost, without_lost
from mmkeras.training.objective import Objective
from mmkeras.training.progress import TerminalProgress
from mmkeras.training.stage_plan import Fitted, StagePlan
from mmkeras.training.state import State
from mmkeras.training.tensorboard import Monitor

__all__ = ["StageFit"]


class StageFit:
    """The training of one stage.

    Args:
        plan: from `mmkeras.training.stage_plan.plan_stage`.
        model: from the stage's method, in the cluster's scope.
        index: the converted data.
        console: where progress is shown.
        draw: pictures for TensorBoard after every epoch.
        cluster: the devices that share every batch.
        copy: the same model on this process's own device, where the other is spread.
    """

    def __init__(
        self,
        plan: StagePlan,
        model: keras.Model,
        index: Index,
        *,
        console: Console,
        draw: Callable[[keras.Model], dict[str, np.ndarray]] | None = None,
        cluster: Cluster = ALONE,
        copy: keras.Model | None = None,
    ) -> None:
        self.index = index
        """The data, without what turned out damaged in training."""
        self._plan, self._stage, self._train = plan, plan.stage, plan.stage.config.train
        self._model, self._copy, self._console, self._draw, self._cluster = model, copy, console, draw, cluster

    def fit(self, *, resume: bool) -> Fitted:
        """Train, from the start or from the newest checkpoint; errors are those of `mmkeras.training.fit.fit`."""
        self._console.print(f"{self._stage.label}{self._plan.batch.explain()}", highlight=False, soft_wrap=True)
        state, self._objective = self._prepared(resume)
        finished = state.waited >= self._train.early_stopping if self._train.early_stopping else False
        try:
            if state.step >= self._plan.steps or finished:
                self._console.print(
                    f"{self._stage.label}Training had already finished; nothing is left to resume.", markup=False
                )
                return Fitted(state.history, state.best_epoch, finished)
            return self._trained(state)
        finally:
            if self._objective is not None:
                self._objective.release()

    def _prepared(self, resume: bool) -> tuple[State, Objective | None]:
        """Compile the model in the cluster's scope.

        Returns:
            The state to go on from, loaded where the stage resumes, and the objective, see `compile_model`.
        """
        decided, alone = self._stage.run.provenance["decided"], self._cluster.strategy is None
        if not alone and decided["precision"] == "mixed_float16":
            raise TrainingError(
                "train.precision: mixed_float16 scales losses on each device by itself and cannot be spread; use "
                "mixed_bfloat16 or float32"
            )
        folder, batch_size = self._stage.folder, self._train.batch_size
        with self._cluster.scope():
            # TensorFlow has no XLA for collectives between workers.
            compiled = decided["jit_compile"] and alone
            objective = compile_model(self._model, self._stage, self._plan.steps, jit_compile=compiled)
            state = Checkpoints.load(folder, self._model) if resume else State()
        if state.batch_size not in (None, batch_size):
            raise TrainingError(
                f"{os.path.relpath(folder)}: was trained with {state.batch_size} samples per step, now there would be "
                f"{batch_size}. Resume on as many devices as before, or train with cluster.batch = global"
            )
        state.batch_size = batch_size
        return state, objective

    def _trained(self, state: State) -> Fitted:
        stage, train, cluster = self._stage, self._train, self._cluster
        monitor, sign = stage.method.monitor(stage.context)
        self._checkpoints = Checkpoints(
            stage.folder,
            monitor,
            sign,
            patience=train.early_stopping,
            every_steps=train.checkpoint_steps,
            every_minutes=train.checkpoint_minutes,
            writes=cluster.chief,
            keeps_metrics=cluster.strategy is None,
            state=state,
        )
        # TensorFlow refuses time stamps in graphs that must be deterministic.
        self._clock = None if train.deterministic else InputClock()
        validation = validation_batches(self.index, stage, cluster)
        agreement = Agreement(every=10 if tf.config.list_physical_devices("GPU") else 1) if cluster.members else None
        self._watching, self._host = self._watchers(), self._host_score(validation)
        with Interrupts(agreement) as interrupts:
            callbacks = [
                FiniteLoss(self._checkpoints),
                *self._host,
                *self._watching,
                self._checkpoints,
                TerminalProgress(self._console, train.epochs, self._plan.steps_per_epoch, stage.label),
                interrupts,
            ]
            with self._ending(callbacks):
                self._run(callbacks, validation, agreement)
        return Fitted(state.history, state.best_epoch, self._checkpoints.stopped_early)

    # === Callbacks ===

    def _own(self, trained: keras.Model) -> keras.Model:
        """Return a model with which this process can predict without the others."""
        if self._copy is None:
            return trained
        copy_weights(trained, self._copy)
        return self._copy

    def _host_score(self, validation: tf.data.Dataset | None) -> list[HostScore]:
        """Return the callback that computes the task's metrics, where the trained model answers."""
        stage = self._stage
        if not stage.method.answers or validation is None:
            return []
        return [HostScore(validation, stage.context.task, self._own, self._cluster, stage.folder)]

    def _watchers(self) -> list[keras.callbacks.Callback]:
        stage, first = self._stage, self._checkpoints.state.step
        if self._cluster.chief:
            draw = self._draw if stage.method.answers else None
            pictures = None if draw is None else lambda trained: draw(self._own(trained))
            watching = [Monitor(stage.folder, stage.config, self._clock, first_step=first, draw=pictures)]
            report_lost(self.index, stage.run, watching)
            return watching
        if self._clock is None:
            return []
        return [InputWait(stage.folder / "workers" / str(self._cluster.rank), self._clock, first_step=first)]

    # === Steps ===

    def _batches(self) -> tf.data.Dataset:
        at = {"step": self._checkpoints.state.step, "steps_per_epoch": self._plan.steps_per_epoch}
        return training_batches(self.index, self._stage, self._cluster, **at, clock=self._clock)

    def _run(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        validation: tf.data.Dataset | None,
        agreement: Agreement | None,
    ) -> None:
        """Call ``fit`` until the stage is over; where data is lost, go on without it."""
        model, cluster, steps_per_epoch = self._model, self._cluster, self._plan.steps_per_epoch
        state = self._checkpoints.state
        data: Any = self._batches()
        if self._objective is not None:
            with cluster.scope():
                self._objective.prepare(data.element_spec)
        model.stop_training = False
        with cluster.watched(), spread(model, cluster, self._plan.batch.per_replica, data.element_spec, agreement):
            while not model.stop_training and state.step < self._plan.steps:
                first, last, steps = blocks(state.step, self._train.epochs, steps_per_epoch)[0]
                data = self._batches() if data is None else data
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
                    _end(callbacks)
                    self.index = without_lost(
                        error,
                        self.index,
                        self._stage.config,
                        cluster,
                        self._checkpoints,
                        steps_per_epoch,
                        self._console,
                    )
                    report_lost(self.index, self._stage.run, self._watching)
                    validation = validation_batches(self.index, self._stage, cluster)
                    for each in self._host if validation is not None else ():
                        each.validation = validation
                data = None
            cluster.barrier(f"trained/{self._stage.name}")

    @contextlib.contextmanager
    def _ending(self, callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
        """End the callbacks of a training that stops, and say where its state or its bad batch is."""
        try:
            yield
        except Interrupted as stop:
            _end(callbacks)
            saved = self._checkpoints.save()
            self._cluster.barrier("stopped")
            raise Interrupted(
                f"Training stopped by {stop} after step {self._checkpoints.state.step}; the state is saved in "
                f"{os.path.relpath(saved)}."
            ) from None
        except Diverged as error:
            _end(callbacks)
            step, steps_per_epoch = error.step, self._plan.steps_per_epoch
            path = save_batch(
                self._model, self._stage, self.index, self._cluster, step, steps_per_epoch, self._objective
            )
            raise explain_divergence(path, step, 1 + (step - 1) // steps_per_epoch) from None
        except PeerLostError:
            _end(callbacks)
            raise


def _end(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    for callback in callbacks:
        callback.on_train_end()
