"""How the workers of a cluster run a pipeline's stages together: the chief runs first, and only the chief writes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError, TrainingError
from mmkeras.training.cluster.connect import ALONE, Cluster, connect
from mmkeras.training.cluster.members import find_members
from mmkeras.training.moved import find_data
from mmkeras.training.run import FINISHED, TRAINED
from mmkeras.training.run_folders import claim_run, new_run_folder
from pipelines._stages.again import keep_asked, read_config
from pipelines._stages.contract import ConfigT

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.training.run import Run

__all__ = ["Joined", "join", "with_cluster"]

SHARED_SECONDS = 30.0
"""Seconds until a file that the chief wrote must be visible on a network file system."""


@dataclass(frozen=True)
class Joined(Generic[ConfigT]):
    """A pipeline's run on its devices."""

    cluster: Cluster
    config: ConfigT
    resumed: Path | None
    """The run to continue."""
    decided: dict[str, Any]
    """Resolved values of ``auto`` settings."""
    trained: bool = False
    """Whether the training of the resumed run is finished: only the chief has work left."""
    nothing_left: bool = False
    """Whether this worker has no work left."""

    @contextlib.contextmanager
    def chief_first(self, name: str) -> Iterator[None]:
        """Run a block on the chief first, then on the other workers, which find it done."""
        if not self.cluster.chief:
            self.cluster.barrier(name)
        yield
        if self.cluster.chief:
            self.cluster.barrier(name)

    def converted(self) -> Index | None:
        """Return the data that a resumed run was trained on; None for a new run, or where the data are gone.

        A run's configuration holds facts found in the data, such as labels. Converting with it would therefore convert
        the data once more.
        """
        from mmkeras.training.run import Run

        if self.resumed is None:
            return None
        run = Run.open(self.resumed)
        with contextlib.suppress(DataError, LookupError):
            return find_data(run.folder, run.provenance)
        return None

    def open_run(
        self, config: ConfigT, index: Index, console: Console, command: str = ""
    ) -> tuple[Run, ConfigT, Console]:
        """Create the run's folder, or open the folder of a resumed run or of the chief.

        ``command`` is the command line, which a new run stores.

        Returns:
            The run, its resolved configuration, and a console whose output the run's folder keeps.

        Raises:
            TrainingError: a worker does not see the chief's files.
        """
        from mmkeras.model import modality_specs, task_spec
        from mmkeras.training.cluster.logs import keep_log
        from mmkeras.training.coverage import measure
        from mmkeras.training.resolve import resolve
        from mmkeras.training.run import Run

        cluster, folder = self.cluster, self.resumed
        if folder is None and cluster.chief:
            folder = new_run_folder(Path(config.runs), config.name)
            keep_asked(folder, config)
            config = resolve(config, index, folder)
            specs, task = modality_specs(config.model), task_spec(config.model)
            shares = measure(index, specs, console)
            Run.create(folder, config, specs, task, index, self.decided, command=command, coverage=shares)
        elif folder is not None and cluster.chief:
            claim_run(folder)
        place = Path(cluster.from_chief("run", str(Path(folder or "").resolve())))
        if not cluster.chief:
            _wait_for(place / "run.json", cluster)
            if self.resumed is None:
                config = with_cluster(type(config), place, (), config)
        # The chief uses the path as the user gave it, for messages.
        run = Run.open(folder if folder is not None and cluster.chief else place)
        if cluster.members is not None:
            console = keep_log(run.folder / "workers" / str(cluster.rank) / "log.txt", console)
        return run, config, console

    def build(self, config: ConfigT) -> tuple[Any, Any]:
        """Return the model in the cluster's scope, and if that distributes it, a copy on this process's own device."""
        import keras

        from mmkeras.model import build_model

        keras.utils.set_random_seed(config.train.seed)
        if self.cluster.strategy is None:
            return build_model(config.model), None
        copy = build_model(config.model)
        # The same names and initial weights as on one device: both come from counters that restart here.
        keras.utils.clear_session(free_memory=False)
        keras.config.set_dtype_policy(self.decided["precision"])
        keras.utils.set_random_seed(config.train.seed)
        with self.cluster.scope():
            return build_model(config.model), copy


def join(config: ConfigT, resumed: Path | None, console: Console) -> Joined[ConfigT]:
    """Join the cluster, and agree on the run to continue.

    ``config`` comes from the command line or the resumed run; ``resumed`` is the run that the user named.

    Raises:
        TrainingError, ConfigError: see `mmkeras.training.cluster.connect.connect`.
    """
    from mmkeras.training.environment import prepare

    decided = prepare(config.train)
    known = resumed or (_unfinished(config) if config.cluster.resume_unfinished else None)
    if known is not None and (known / TRAINED).is_file():
        # A scheduler may restart only the chief, so it does not wait for workers that have already ended.
        members = find_members(os.environ, config.cluster.port)
        nothing_left = members is not None and members.rank > 0
        console.print("Training had already finished" + ("; nothing is left for this worker." if nothing_left else "."))
        return Joined(ALONE, with_cluster(type(config), known, (), config), known, decided, True, nothing_left)
    cluster = connect(config.cluster)
    if cluster.strategy is not None:
        console.print(f"Training on {cluster.kind}; this is number {cluster.rank}.", highlight=False)
    if config.cluster.resume_unfinished and resumed is None:
        found = cluster.from_chief("unfinished", str(_unfinished(config) or ""))
        if found:
            resumed = Path(found)
            config = with_cluster(type(config), resumed, (), config)
            console.print(f"Continuing {os.path.relpath(resumed)}, which was not finished.", highlight=False)
    return Joined(cluster, config, resumed, {**decided, "trained_on": cluster.kind})


def with_cluster(
    config_class: type[ConfigT], folder: Path, arguments: Sequence[str], present: ConfigT | None = None
) -> ConfigT:
    """Return a run's own configuration, with another cluster.

    It is the cluster of ``present``, or else of the ``--cluster.`` options in the command line ``arguments``.
    """
    chosen: list[str] = []
    for position, argument in enumerate(arguments):
        if argument.startswith("--cluster."):
            alone = "=" not in argument and position + 1 < len(arguments)
            chosen += [argument, arguments[position + 1]] if alone else [argument]
    config = read_config(config_class, folder / "config.toml", chosen)
    return config if present is None else dataclasses.replace(config, cluster=present.cluster)


def _unfinished(config: RunConfig) -> Path | None:
    """Return the latest run of this name if it can be continued and has not finished."""
    folder = Path(config.runs, config.name, "latest").resolve()
    return folder if (folder / "run.json").is_file() and not (folder / FINISHED).exists() else None


def _wait_for(path: Path, cluster: Cluster) -> None:
    deadline = time.monotonic() + SHARED_SECONDS
    while not path.is_file():
        if time.monotonic() > deadline:
            raise TrainingError(
                f"Worker {cluster.rank} does not see {path}, which the first worker has written. Runs and data must "
                "lie in folders that all workers share (--runs, --data.folder)."
            )
        time.sleep(0.2)
