"""Trains one stage of a run with Keras ``fit``, for all training methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.data.arrays import NO_FROZEN
from mmkeras.data.index import Index
from mmkeras.layers.keras_files import copy_weights
from mmkeras.training.batches import blocks, training_batches, validation_batches
from mmkeras.training.checkpoints import Checkpoints, Diverged
from mmkeras.training.cluster.connect import ALONE, Cluster
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.cluster.spread import Agreement, distributed, spread
from mmkeras.training.compiling import compile_model
from mmkeras.training.divergence import FiniteLoss, save_batch
from mmkeras.training.divergence import explain as explain_divergence
from mmkeras.training.flat_dense import flat_dense
from mmkeras.training.frozen.branches import FrozenBranches, frozen_branches
from mmkeras.training.fused_batch_norm import fused_batch_norm
from mmkeras.training.host_score import HostScore
from mmkeras.training.input_clock import InputClock
from mmkeras.training.interrupts import Interrupted, Interrupts
from mmkeras.training.lost_data import LOST_DATA, report_lost, without_lost
from mmkeras.training.objective import Objective
from mmkeras.training.progress import TerminalProgress
from mmkeras.training.stage_plan import Fitted, StagePlan
from mmkeras.training.state import State
from mmkeras.training.tensorboard import InputWait, Monitor
from mmkeras.training.time_limit import TimeLimit

__all__ = ["StageFit"]


class StageFit:
    """The training of one stage.

    The arguments are those of `mmkeras.training.fit.fit`, but ``model`` and ``copy`` are from the stage's method.
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
        """The data, without records that were found damaged in training."""
        self._plan, self._stage, self._train = plan, plan.stage, plan.stage.config.train
        self._model, self._copy, self._console, self._draw, self._cluster = model, copy, console, draw, cluster

    def fit(self, *, resume: bool) -> Fitted:
        """Train, from the start or from the newest checkpoint; for the errors, see `mmkeras.training.fit.fit`."""
        self._console.print(f"{self._stage.label}{self._plan.batch.explain()}", highlight=False, soft_wrap=True)
        state, self._objective = self._prepared(resume)
        self._frozen: FrozenBranches | None = None
        finished = state.waited >= self._train.early_stopping if self._train.early_stopping else False
        try:
            if state.step >= self._plan.steps or finished:
                self._console.print(
                    f"{self._stage.label}Training had already finished; nothing is left to resume.", markup=False
                )
                return Fitted(state.history, state.best_epoch, finished)
            self._frozen = frozen_branches(self._model, self._stage, self.index, self._cluster, self._say)
            if self._frozen is not None:
                self._frozen.attach()
            return self._trained(state)
        finally:
            if self._frozen is not None:
                self._frozen.release()
            if self._objective is not None:
                self._objective.release()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _prepared(self, resume: bool) -> tuple[State, Objective | None]:
        """Compile the model; return the state, loaded to resume, and the objective from `compile_model`."""
        decided, alone = self._stage.run.provenance["decided"], self._cluster.strategy is None
        if not alone and decided["precision"] == "mixed_float16":
            raise TrainingError(
                "train.precision: mixed_float16 scales the loss on each device separately and cannot be distributed; "
                "use mixed_bfloat16 or float32"
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
        # TensorFlow does not allow time stamps in deterministic graphs.
        self._clock = None if train.deterministic else InputClock()
        validation = self._validation()
        agreement = Agreement(every=10 if tf.config.list_physical_devices("GPU") else 1) if cluster.members else None
        self._watching = self._watchers()
        self._host: list[HostScore] = []
        if stage.method.has_task_outputs and validation is not None:
            self._host = [HostScore(validation, stage.context.task, self._own, cluster, stage.folder)]
        with Interrupts(agreement) as interrupts:
            callbacks = [
                FiniteLoss(self._checkpoints),
                *self._host,
                *self._watching,
                self._checkpoints,
                TerminalProgress(self._console, train.epochs, self._plan.steps_per_epoch, stage.label),
                *([TimeLimit(train.max_minutes, self._console)] if train.max_minutes else []),
                interrupts,
            ]
            try:
                self._run(callbacks, validation, agreement)
            except (Interrupted, Diverged, PeerLostError) as error:
                _end(callbacks)
                raise self._explained(error) from None
        return Fitted(state.history, state.best_epoch, self._checkpoints.stopped_early)

    def _own(self, trained: keras.Model) -> keras.Model:
        """Return a model that predicts in this process, without the other workers."""
        if self._copy is None:
            return trained
        copy_weights(trained, self._copy)
        return self._copy

    def _watchers(self) -> list[InputWait]:
        """Return the callback that writes to TensorBoard."""
        stage, first = self._stage, self._checkpoints.state.step
        if self._cluster.chief:
            draw = self._draw if stage.method.has_task_outputs else None
            pictures = None if draw is None else lambda trained: draw(self._own(trained))
            watching: list[InputWait] = [
                Monitor(stage.folder, stage.config, self._clock, first_step=first, draw=pictures)
            ]
            report_lost(self.index, stage.run, watching)
            return watching
        if self._clock is None:
            return []
        return [InputWait(stage.folder / "workers" / str(self._cluster.rank), self._clock, first_step=first)]

    # === Steps ===

    def _validation(self) -> tf.data.Dataset | None:
        frozen = NO_FROZEN if self._frozen is None else self._frozen.parts
        return validation_batches(self.index, self._stage, self._cluster, frozen)

    def _batches(self) -> tf.data.Dataset:
        at = {"step": self._checkpoints.state.step, "steps_per_epoch": self._plan.steps_per_epoch}
        frozen = NO_FROZEN if self._frozen is None else self._frozen.parts
        return training_batches(self.index, self._stage, self._cluster, **at, clock=self._clock, frozen=frozen)

    def _run(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        validation: tf.data.Dataset | None,
        agreement: Agreement | None,
    ) -> None:
        """Call ``fit`` until the stage is finished; continue without lost data."""
        model, stage, cluster, steps_per_epoch = self._model, self._stage, self._cluster, self._plan.steps_per_epoch
        checkpoints, console = self._checkpoints, self._console
        data: Any = self._batches()
        if self._objective is not None:
            with cluster.scope():
                self._objective.prepare(data.element_spec)
        model.stop_training = False
        with (
            cluster.watched(),
            spread(model, cluster, self._plan.batch.per_replica, data.element_spec, agreement),
            fused_batch_norm(model),
            flat_dense(model),
        ):
            while not model.stop_training and checkpoints.state.step < self._plan.steps:
                first, last, steps = blocks(checkpoints.state.step, self._train.epochs, steps_per_epoch)[0]
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
                    lost = (error, self.index, stage.config, cluster, checkpoints, steps_per_epoch, console)
                    self.index = without_lost(*lost)
                    report_lost(self.index, stage.run, self._watching)
                    validation = self._validation()
                    for each in self._host if validation is not None else ():
                        each.validation = validation
                data = None
            cluster.barrier(f"trained/{stage.name}")

    def _explained(self, error: TrainingError) -> TrainingError:
        """Save the state or the diverged batch, and return the error that names the file."""
        step, steps_per_epoch = self._checkpoints.state.step, self._plan.steps_per_epoch
        if isinstance(error, Interrupted):
            saved = os.path.relpath(self._checkpoints.save())
            self._cluster.barrier("stopped")
            return Interrupted(f"Training stopped by {error} after step {step}; the state is saved in {saved}.")
        if isinstance(error, Diverged):
            step = error.step
            path = save_batch(
                self._model, self._stage, self.index, self._cluster, step, steps_per_epoch, self._objective
            )
            return explain_divergence(path, step, 1 + (step - 1) // steps_per_epoch)
        return error


def _end(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """End the callbacks: Keras does it only when ``fit`` returns."""
    for callback in callbacks:
        callback.on_train_end()
