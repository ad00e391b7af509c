"""The stages of a run, as its configuration lists them.

The last stage trains the model that is exported, in the run's own folder. Each stage before it has a folder of the same
form, ``stages/<name>``: best.keras, checkpoints, TensorBoard events.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.components import check_options, find
from mmkeras.core.config import RunConfig, StageConfig, TrainConfig
from mmkeras.core.errors import ConfigError
from mmkeras.data.index import Index
from mmkeras.training.methods._contract import StageContext, TrainingMethod
from mmkeras.training.run import Run

__all__ = ["Stage", "check_stages", "stages_of"]

_OF_THE_PROCESS = ("deterministic", "precision", "xla")
"""Settings of ``train`` that apply to the whole process."""
_DEFAULT = StageConfig("fit")


@dataclass(frozen=True)
class Stage:
    """A stage of a run."""

    name: str
    """Name of the stage."""
    method: TrainingMethod
    """Its training method."""
    context: StageContext
    """The method's context."""
    run: Run
    """The run."""
    folder: Path
    """Folder of its best model and checkpoints."""
    label: str = ""
    """Start of its messages; empty in a run of a single stage."""

    @property
    def config(self) -> RunConfig:
        """The run's configuration with the stage's own ``train``."""
        return self.context.config

    @property
    def kind(self) -> str:
        """Name of the method."""
        return type(self.method).__module__.rpartition(".")[2]

    def with_train(self, train: TrainConfig) -> Stage:
        """Return the stage with another training configuration."""
        config = dataclasses.replace(self.config, train=train)
        return dataclasses.replace(self, context=dataclasses.replace(self.context, config=config))


def check_stages(config: RunConfig) -> None:
    """Check the configuration of the stages.

    Raises:
        ConfigError: every unknown key, wrong value and unknown method.
    """
    problems, names = [], [stage.name for stage in config.stages]
    for number, stage in enumerate(config.stages):
        where = f"stages[{number}]"
        if not re.fullmatch(r"\w[\w-]*", stage.name) or names.count(stage.name) > 1:
            problems.append(f"{where}.name: expected letters, digits, - and _, once each, got {stage.name!r}")
        problems += [
            f"{where}.train.{key}: applies to the whole run; set train.{key}"
            for key in _OF_THE_PROCESS
            if key in stage.train
        ]
        try:
            check_options(TrainConfig, stage.train, f"{where}.train")
            method = find("training.methods", stage.method).Method
            check_options(method, stage.options, f"{where}.options")
            if stage is config.stages[-1] and not method.has_task_outputs:
                problems.append(
                    f"{where}.method: {stage.method} trains a model without the outputs of the task, and the last "
                    "stage trains the one that is exported. Add a stage, such as one with the method supervised"
                )
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))


def stages_of(config: RunConfig, run: Run, index: Index) -> list[Stage]:
    """Return the stages of a run from its resolved configuration.

    Raises:
        ConfigError: see `check_stages`.
    """
    check_stages(config)
    listed = config.stages or (_DEFAULT,)
    counts = index.splits["train"].classes or {}
    stages = []
    for number, each in enumerate(listed, 1):
        own = dataclasses.replace(config, train=dataclasses.replace(config.train, **each.train))
        method = find("training.methods", each.method).Method(**each.options)
        folder = run.folder if number == len(listed) else run.folder / "stages" / each.name
        label = f"stage {each.name}: " if len(listed) > 1 else ""
        stages.append(Stage(each.name, method, StageContext(own, run.specs, run.task, counts), run, folder, label))
    return stages
