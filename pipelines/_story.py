"""The stages that every pipeline runs: data, training, evaluation, export, an answer from the exported file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rich.console import Console

from mmkeras.command_line import Flag, parse
from mmkeras.config import RunConfig, modality_configs
from mmkeras.disk import explain
from mmkeras.errors import ConfigError, MmkerasError
from mmkeras.privacy import Redaction, redacting
from mmkeras.training.cluster.launch import PEER_LOST, launch
from mmkeras.training.cluster.members import find_members
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.environment import check_python
from mmkeras.training.run import FINISHED, release_runs
from pipelines._cluster import join, with_cluster
from pipelines._training import train_model

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.evaluation.samples import Samples
    from mmkeras.training.run import Run

__all__ = ["Evaluated", "Story", "run_story", "stage"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)

_FLAGS = (
    Flag("resume", "Go on with a run that was stopped: its folder, or the latest one.", value=True),
    Flag("skip_export", "End after the evaluation."),
)


@dataclass(frozen=True)
class Evaluated:
    """A run whose best model has been evaluated on the test split."""

    run: Run
    """The run's folder."""
    config: Any
    """The resolved configuration."""
    index: Index
    """The converted data."""
    model: Any
    """The best Keras model."""
    samples: Samples
    """The test split."""
    metrics: dict[str, Any]
    """What metrics.json holds."""
    console: Console
    """Where progress is shown."""


class Story(Generic[ConfigT]):
    """What a pipeline adds to the common stages; this one adds nothing."""

    flags: ClassVar[tuple[Flag, ...]] = ()
    """Options of its own that are not part of the configuration."""

    def answer(self, flags: Mapping[str, Any], console: Console) -> int | None:
        """Do what one of the flags asks for in place of a run and return the exit status, or None to run."""
        del flags, console
        return None

    def prepare(self, config: ConfigT, console: Console) -> ConfigT:
        """Return the configuration with its data in place."""
        del console
        return config

    def provenance(self, config: ConfigT) -> dict[str, Any]:
        """Return what reports say of the run besides its own provenance, such as a ``notice``."""
        del config
        return {}

    def after_evaluation(self, done: Evaluated) -> None:
        """Measure more on the test split."""

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Measure more on the exported files."""


def run_story(
    config_class: type[ConfigT],
    arguments: Sequence[str] | None,
    *,
    program: Path,
    description: str,
    story: Story[ConfigT] | None = None,
) -> int:
    """Run a pipeline from its command line.

    Args:
        config_class: the pipeline's configuration.
        arguments: without the program's name; ``sys.argv`` when not given.
        program: the pipeline's file; its defaults are in ``configs/<name>.toml`` beside it.
        description: first lines of ``--help``.
        story: what the pipeline adds to the stages.

    Returns:
        Exit status: 0, 1 when an exported file missed its gate, 2 for an error, 75 when another worker of a cluster has
        gone, 130 when interrupted.
    """
    console = Console()
    hidden = Redaction()
    story = story or Story()
    flags_known = (*_FLAGS, *story.flags)
    try:
        check_python()
        arguments = sys.argv[1:] if arguments is None else list(arguments)
        config, flags = parse(
            config_class,
            arguments,
            program=f"python -m pipelines.{program.stem}",
            description=description,
            defaults=program.parent / "configs" / f"{program.stem}.toml",
            flags=flags_known,
        )
        if (status := story.answer(flags, console)) is not None:
            return status
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if flags["resume"]:
            own = {f"--{flag.name}" for flag in flags_known}
            others = [a for a in arguments if a.startswith("--") and a.split("=")[0] not in own]
            # Where a run is trained is no part of what it is.
            if others := [a for a in others if not a.startswith("--cluster.")]:
                raise ConfigError(
                    f"--resume goes on with the run's own configuration; it cannot be combined with {', '.join(others)}"
                )
            folder = Path(config.runs, config.name, "latest") if flags["resume"] == "latest" else Path(flags["resume"])
            config = with_cluster(config_class, folder, arguments)
        else:
            folder = None
        if config.cluster.workers > 1 and find_members(os.environ) is None:
            return launch([sys.executable, "-m", f"pipelines.{program.stem}", *arguments], config.cluster, console)
        with redacting(config.privacy.redact) as hidden:
            return _run(config, folder, program.stem, console, story, export=not flags["skip_export"])
    except PeerLostError as error:
        Console(stderr=True).print(f"Stopped: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        return PEER_LOST
    except MmkerasError as error:
        Console(stderr=True).print(
            f"{type(error).__name__}: {hidden.message(str(error))}",
            style="bold red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 2
    except KeyboardInterrupt:
        # Within training a stop is orderly (Interrupted); elsewhere nothing half-written is left either.
        console.print("\nInterrupted. The same command goes on with what is finished: shards, checkpoints, bundles.")
        return 130
    except Exception as error:
        if not (said := explain(error)):
            raise
        Console(stderr=True).print(f"Stopped: {said}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        return 2
    finally:
        release_runs()


def _run(
    config: ConfigT, resumed: Path | None, program: str, console: Console, story: Story[ConfigT], *, export: bool
) -> int:
    began = time.monotonic()
    joined = join(config, resumed, console)
    cluster, config = joined.cluster, joined.config
    if joined.needless:
        return 0
    with stage(console, "Data"), joined.chief_first("data"):
        config = story.prepare(config, console)
        from mmkeras.data.convert import convert
        from mmkeras.data.salvage import usable
        from mmkeras.model import task_config

        index = joined.converted()
        if index is None:
            index = convert(config.data, modality_configs(config.model), task_config(config.model), console)
        index = usable(index, config.data.max_bad_records, console)

    with stage(console, "Model"):
        from mmkeras.training.summary import summary_table

        run, config, console = joined.open_run(config, index, console)
        model, copy = joined.build(config)
        console.print(summary_table(copy or model))

    query = str(config.model.fusion.options.get("query", ""))
    if not joined.trained:
        with stage(console, "Training"):
            status = train_model(joined, run, config, index, (model, copy), program, query, console)
        if status is not None:
            return status
    if not cluster.chief:
        console.print("Training is done; the first worker evaluates and exports.")
        return 0
    if cluster.members is not None:
        console.print("The other workers end now; that TensorFlow misses their heartbeats is no fault.", style="dim")

    with stage(console, "Evaluation"):
        from mmkeras.evaluation import evaluate
        from mmkeras.evaluation.attention import attention_figures
        from mmkeras.evaluation.samples import read

        model = run.model()
        samples = read(index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
        attention = attention_figures(model, samples, run.specs, run.task, list(range(min(4, len(samples)))), query)
        metrics = evaluate(
            model,
            samples,
            run.specs,
            run.task,
            config.evaluate,
            run.folder,
            provenance={**run.provenance, **story.provenance(config)},
            extra_pictures=attention,
            seed=config.train.seed,
            console=console,
        )
        done = Evaluated(run, config, index, model, samples, metrics, console)
    story.after_evaluation(done)
    if not export:
        run.note(FINISHED)
        return 0

    with stage(console, "Export"):
        from export.run import export_run
        from mmkeras.evaluation import write_report

        report = export_run(run, config.export, console=console)
        write_report(run.folder, export=json.loads((report.folder / "export.json").read_text("utf-8")))
        story.after_export(done, report.folder)
    run.note(FINISHED)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    console.print(f"\nFrom data to verified exports: [bold]{minutes} min {seconds} s[/]")
    _show_answer(report.folder, console)
    return 0 if report.accepted else 1


def _show_answer(bundle: Path, console: Console) -> None:
    """Ask the exported model in a fresh process, which never loads TensorFlow, and show the commands."""
    from mmkeras.bundle import Bundle

    opened = Bundle.open(bundle)
    raw = next(iter(opened.golden_raw()), None)
    shown = os.path.relpath(bundle)
    commands = [["selftest", shown], ["benchmark", shown]]
    if raw is not None:  # else privacy.redact keeps samples out of the bundle
        given = [part for name, value in raw.items() if value is not None for part in (f"--{name}", _shown(value))]
        commands.insert(0, ["predict", shown, *given])
    for command in commands:
        console.print(f"\n[bold]$ mmkeras {shlex.join(command)}[/]", highlight=False, soft_wrap=True)
        console.file.flush()
        subprocess.run([sys.executable, "-m", "mmkeras", *command], check=False)


def _shown(value: object) -> str:
    return os.path.relpath(value) if isinstance(value, Path) else str(value)


@contextmanager
def stage(console: Console, name: str) -> Iterator[None]:
    """Head a stage and say how long it took."""
    began = time.monotonic()
    console.rule(f"[bold]{name}", align="left")
    yield
    console.print(f"[dim]{name.lower()}: {time.monotonic() - began:.0f} s[/]")
