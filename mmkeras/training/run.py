"""A run's folder: everything that came of one training, and what is needed to understand and repeat it.

runs/<name>/<time>/
├── config.toml        the resolved configuration; ``--config`` reads it back
├── run.json           provenance: packages, machine, code revision, data fingerprint, what ``auto`` decided
├── specs.json         the modality specs (and their files: <name>_vocabulary.txt)
├── task.json          the task spec
├── best.keras         the model with the best validation score
├── checkpoints/       the state that ``--resume`` goes on from
├── train/ validation/ TensorBoard events
├── metrics.json       the evaluation on the test split
└── report.html        the same for people
"""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.command_line import to_toml
from mmkeras.config import RunConfig
from mmkeras.errors import DataError, TrainingError
from mmkeras.files import write_json, write_text
from mmkeras.modalities import ModalitySpec, spec_from_json
from mmkeras.tasks import TaskSpec, task_from_json
from mmkeras.training.environment import code_revision, machine, package_versions

if TYPE_CHECKING:
    import keras

    from mmkeras.data.index import Index

__all__ = ["Run", "new_run_folder", "register_layers"]


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
    ) -> Run:
        """Write a new run's description into its folder.

        Args:
            folder: from `new_run_folder`.
            config: the resolved configuration.
            specs: modality specs by name.
            task: the task with its labels.
            index: the converted data.
            decided: what ``auto`` settings came to, from `environment.prepare`.
            latest: let ``latest`` beside the folder point at it.
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
            "data_folder": os.path.relpath(index.folder),
        }
        for spec in specs.values():
            spec.save_files(folder)
        write_text(folder / "config.toml", to_toml(config))
        write_json(folder / "specs.json", [spec.to_json() for spec in specs.values()])
        write_json(folder / "task.json", task.to_json())
        write_json(folder / "run.json", provenance)
        if latest:
            _point_latest(folder)
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
            task = task_from_json(json.loads((folder / "task.json").read_text("utf-8")))
            provenance = json.loads((folder / "run.json").read_text("utf-8"))
        except (OSError, json.JSONDecodeError, KeyError) as error:
            raise TrainingError(
                f"{os.path.relpath(folder)}: is not a complete run ({error}). Expected a folder such as "
                "runs/vqa/latest with run.json, specs.json and task.json."
            ) from error
        return cls(folder, {spec.name: spec for spec in specs}, task, provenance)

    def model(self) -> keras.Model:
        """Load the best model in float32, without its optimizer, whatever precision it was trained in.

        Raises:
            TrainingError: training has not reached its first validation.
        """
        import keras

        path = self.folder / "best.keras"
        if not path.exists():
            raise TrainingError(
                f"{os.path.relpath(path)} is missing: the run has not finished an epoch. Go on with --resume "
                f"{os.path.relpath(self.folder)}"
            )
        register_layers()
        return _in_float32(keras.models.load_model(path, compile=False))

    @property
    def index(self) -> Index:
        """The converted data the run was trained on.

        Raises:
            DataError: it is gone or has changed.
        """
        from mmkeras.data.index import Index

        index = Index.load(Path(self.provenance["data_folder"]))
        if index.fingerprint != self.provenance["data_fingerprint"]:
            raise DataError(
                f"{self.provenance['data_folder']}: holds other data (fingerprint {index.fingerprint}) than the run "
                f"was trained on ({self.provenance['data_fingerprint']}). Convert it again with the run's config.toml."
            )
        return index


def new_run_folder(root: Path, name: str) -> Path:
    """Create ``<root>/<name>/<time>``; a number is added when two runs start in one second."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 100):
        folder = root / name / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise TrainingError(f"{root / name}: could not create a folder for the run; 99 of them exist for {stamp}")


def _in_float32(model: keras.Model) -> keras.Model:
    """Return a model that computes in float32 with the same weights; mixed precision keeps its weights in float32."""
    import keras

    described = json.dumps(keras.saving.serialize_keras_object(model))
    plain = described
    for policy in ("mixed_bfloat16", "mixed_float16"):
        plain = plain.replace(f'"{policy}"', '"float32"')
    if plain == described:
        return model
    copy = keras.saving.deserialize_keras_object(json.loads(plain))
    copy.set_weights(model.get_weights())
    return copy


def _point_latest(folder: Path) -> None:
    """Let ``latest`` beside the run point at it, replaced in one step."""
    aside = folder.parent / f".latest.{os.getpid()}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(folder.name)
    os.replace(aside, folder.parent / "latest")


def register_layers() -> None:
    """Import what a saved model may hold: every branch, fusion and head with layers of its own."""
    import mmkeras.model  # noqa: F401
    from mmkeras.components import find, names

    for fusion in names("fusion"):
        find("fusion", fusion)
    for task in names("tasks"):
        find("tasks", task, "head")
    for modality in names("modalities"):
        find("modalities", modality, "branch")
