"""A run's folder: all results of one training, and everything needed to understand and repeat it.

runs/<name>/<time>/
├── config.toml        the resolved configuration; ``--config`` reads it back
├── run.json           provenance: packages, machine, code revision, data fingerprint, values of ``auto`` settings
├── place.json         this folder and the one that the run was started in, to find files after a move
├── specs.json         the modality specs (and their files: <name>_vocabulary.txt)
├── task.json          the task spec
├── best.keras         the model with the best validation score
├── checkpoints/       the state from which ``--resume`` continues
├── stages/<name>/     best.keras, checkpoints and events of each stage before the last one
├── train/ validation/ TensorBoard events
├── workers/<n>/       of a cluster: every worker's log.txt, and the events of workers other than the chief
├── trained.json       the training is finished; only the first worker of a cluster continues
├── metrics.json       the evaluation on the test split
├── report.html        the evaluation as a report
└── finished.json      written last: the run is finished
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.command_line import read_toml, to_toml
from mmkeras.core.config import DataConfig, RunConfig
from mmkeras.core.errors import MmkerasError, TrainingError
from mmkeras.core.typed import read_json
from mmkeras.modalities import ModalitySpec, check_shapes, spec_from_json
from mmkeras.storage.files import write_json, write_text
from mmkeras.tasks import TaskSpec, task_from_json
from mmkeras.training.environment import code_revision, machine, package_versions
from mmkeras.training.moved import find_data, keep_place, relative
from mmkeras.training.run_folders import point_latest

if TYPE_CHECKING:
    import keras

    from mmkeras.data.index import Index

__all__ = ["FINISHED", "TRAINED", "Run", "register_layers"]

_DAMAGED = (MmkerasError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""Errors of the readers of a run's files for altered files."""
TRAINED = "trained.json"
"""Exists when the training of a run is finished."""
FINISHED = "finished.json"
"""Exists when a run is finished."""


@dataclass(frozen=True)
class Run:
    """A run's folder, opened."""

    folder: Path
    """The run's folder."""
    specs: dict[str, ModalitySpec]
    """Modality specs by name."""
    task: TaskSpec
    """The task."""
    provenance: dict[str, Any]
    """Content of run.json."""

    @classmethod
    def create(
        cls,
        folder: Path,
        config: RunConfig,
        specs: dict[str, ModalitySpec],
        task: TaskSpec,
        index: Index,
        decided: dict[str, Any],
        latest: bool = True,
        command: str = "",
        coverage: Mapping[str, Any] | None = None,
    ) -> Run:
        """Write a new run's description into its folder.

        Args:
            folder: from `new_run_folder`.
            config: the resolved configuration.
            specs: modality specs by name.
            task: the task with its labels.
            index: the converted data.
            decided: values of the ``auto`` settings, from `mmkeras.training.environment.prepare`.
            latest: whether to point the link ``latest`` at the folder.
            command: the command line of the run; empty if there is none.
            coverage: from `mmkeras.training.coverage.measure`; written to run.json and so to metrics.json.
        """
        provenance = {
            "schema_version": 1,
            "name": config.name,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "code_revision": code_revision(),
            "packages": package_versions(),
            "machine": machine(),
            "decided": decided,
            "data_fingerprint": index.fingerprint,
            "data_folder": relative(index.folder, folder),
        }
        more = {"command": command, "coverage": dict(coverage or {}), "damaged_records": _named(index)}
        provenance |= {name: value for name, value in more.items() if value}
        for spec in specs.values():
            spec.save_files(folder)
        write_text(folder / "config.toml", to_toml(config))
        write_json(folder / "specs.json", [spec.to_json() for spec in specs.values()])
        write_json(folder / "task.json", task.to_json())
        keep_place(folder)
        if latest:
            point_latest(folder)
        # Last: a folder without run.json is no run.
        write_json(folder / "run.json", provenance)
        return cls(folder, specs, task, provenance)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open a run's folder; ``latest`` links are followed.

        Raises:
            TrainingError: the folder is not a run, or one of its files is missing or damaged.
        """
        folder = folder.resolve()
        try:
            specs = [spec_from_json(s, folder) for s in json.loads((folder / "specs.json").read_text("utf-8"))]
            task = task_from_json(read_json(folder / "task.json", TrainingError, "Take the file of the run."))
            provenance = read_json(folder / "run.json", TrainingError, "Take the file of the run.")
            # Finds values of a wrong type, which dataclasses accept.
            for spec in specs:
                check_shapes(spec.name, (*spec.tensors, spec.present))
            check_shapes(task.kind, task.outputs)
        except TrainingError:
            raise
        except _DAMAGED as error:
            raise TrainingError(
                f"{os.path.relpath(folder)}: is not a complete run ({error!s:.500}). Expected a folder such as "
                "runs/vqa/latest with run.json, specs.json and task.json."
            ) from error
        return cls(folder, {spec.name: spec for spec in specs}, task, provenance)

    def model(self) -> keras.Model:
        """Load the best model in float32, without its optimizer, whatever precision it was trained in.

        Raises:
            TrainingError: training has not finished its first epoch.
            DataError: the file is damaged, or contains code.
        """
        from mmkeras.layers.keras_files import load_model

        path = self.folder / "best.keras"
        if not path.exists():
            raise TrainingError(
                f"{os.path.relpath(path)} is missing: the run has not finished an epoch. Continue with --resume "
                f"{os.path.relpath(self.folder)}"
            )
        register_layers()
        return _in_float32(load_model(path))

    def note(self, name: str) -> None:
        """Write `TRAINED` or `FINISHED`."""
        write_json(
            self.folder / name, {"time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
        )

    def note_stage(self, result: dict[str, Any]) -> None:
        """Write the result of a training stage to run.json, and so to metrics.json and the report."""
        stages = [each for each in self.provenance.get("stages", []) if each["name"] != result["name"]]
        if self.provenance.get("stages") != [*stages, result]:
            self.provenance["stages"] = [*stages, result]
            write_json(self.folder / "run.json", self.provenance)

    def note_damaged(self, index: Index) -> None:
        """Write the damaged records of the data to run.json, and so to metrics.json and the report."""
        if index.damaged and self.provenance.get("damaged_records") != _named(index):
            self.provenance["damaged_records"] = _named(index)
            write_json(self.folder / "run.json", self.provenance)

    @property
    def index(self) -> Index:
        """The converted data of the run, without damaged records.

        Raises:
            DataError: it is missing, has changed, or has more damaged records than ``data.max_bad_records``.
        """
        from mmkeras.data.salvage import usable

        index = find_data(self.folder, self.provenance)
        most = read_toml(self.folder / "config.toml").get("data", {}).get("max_bad_records", DataConfig.max_bad_records)
        return usable(index, most)


def _named(index: Index) -> list[str]:
    return [f"{row.origin}: {row.reason}" for row in index.damaged]


def _in_float32(model: keras.Model) -> keras.Model:
    """Return a model with the same weights that computes in float32."""
    import keras

    from mmkeras.layers.keras_files import copy_weights

    described = json.dumps(keras.saving.serialize_keras_object(model))
    plain = described
    for policy in ("mixed_bfloat16", "mixed_float16", "float64"):
        plain = plain.replace(f'"{policy}"', '"float32"')
    if plain == described:
        return model
    # Layers also read this setting when they are called.
    keras.config.set_floatx("float32")
    copy = keras.saving.deserialize_keras_object(json.loads(plain))
    copy_weights(model, copy)
    return copy


def register_layers() -> None:
    """Import every branch, fusion and head, so that Keras can load their layers."""
    import mmkeras.model  # noqa: F401
    from mmkeras.core.components import find, names

    for fusion in names("fusion"):
        find("fusion", fusion)
    for task in names("tasks"):
        find("tasks", task, "head")
    for modality in names("modalities"):
        find("modalities", modality, "branch")
