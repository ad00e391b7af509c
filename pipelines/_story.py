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
from mmkeras.errors import ConfigError, MmkerasError
from mmkeras.training.environment import check_python

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
        Exit status: 0, 1 when an exported file missed its gate, 2 for an error, 130 when interrupted.
    """
    console = Console()
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
            if others := [a for a in arguments if a.startswith("--") and a.split("=")[0] not in own]:
                raise ConfigError(
                    f"--resume goes on with the run's own configuration; it cannot be combined with {', '.join(others)}"
                )
            folder = Path(config.runs, config.name, "latest") if flags["resume"] == "latest" else Path(flags["resume"])
            config, _ = parse(
                config_class, ["--config", str(folder / "config.toml")], program=program.stem, description=description
            )
        else:
            folder = None
        return _run(config, folder, program.stem, console, story, export=not flags["skip_export"])
    except MmkerasError as error:
        Console(stderr=True).print(
            f"{type(error).__name__}: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        # Within training a stop is orderly (Interrupted); elsewhere nothing half-written is left either.
        console.print("\nInterrupted. The same command goes on with what is finished: shards, checkpoints, bundles.")
        return 130


def _run(
    config: ConfigT, resumed: Path | None, program: str, console: Console, story: Story[ConfigT], *, export: bool
) -> int:
    began = time.monotonic()
    with stage(console, "Data"):
        config = story.prepare(config, console)
        from mmkeras.data.convert import convert
        from mmkeras.model import build_model, modality_specs, task_config, task_spec

        index = convert(config.data, modality_configs(config.model), task_config(config.model), console)

    with stage(console, "Model"):
        from mmkeras.training.environment import prepare
        from mmkeras.training.resolve import resolve
        from mmkeras.training.run import Run, new_run_folder
        from mmkeras.training.summary import summary_table

        decided = prepare(config.train)
        if resumed is None:
            folder = new_run_folder(Path(config.runs), config.name)
            config = resolve(config, index, folder)
            run = Run.create(folder, config, modality_specs(config.model), task_spec(config.model), index, decided)
        else:
            run = Run.open(resumed)
        model = build_model(config.model)
        console.print(summary_table(model))

    with stage(console, "Training"):
        from mmkeras.evaluation.samples import read
        from mmkeras.evaluation.watch import EpochPictures
        from mmkeras.training.fit import fit
        from mmkeras.training.interrupts import Interrupted

        console.print(f"watch it:       tensorboard --logdir {config.runs}", soft_wrap=True)
        console.print("stop and go on: Ctrl-C, then the same command with --resume alone", soft_wrap=True)
        query = str(config.model.fusion.options.get("query", ""))
        draw = None
        if index.samples("validation"):
            validation = read(index, "validation", run.specs, run.task)
            draw = EpochPictures(validation, run.specs, run.task, shown=config.evaluate.pictures, query=query)
        try:
            fitted = fit(model, run, config, index, console=console, resume=resumed is not None, draw=draw)
        except Interrupted as stop:
            command = f"python -m pipelines.{program} --resume {os.path.relpath(run.folder)}"
            console.print(f"{stop} Go on with: [bold]{command}[/]", highlight=False, soft_wrap=True)
            return 130
        console.print(f"best epoch: {fitted.best_epoch}" + (" (stopped early)" if fitted.stopped_early else ""))

    with stage(console, "Evaluation"):
        from mmkeras.evaluation import evaluate
        from mmkeras.evaluation.attention import attention_figures

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
        return 0

    with stage(console, "Export"):
        from export.run import export_run
        from mmkeras.evaluation import write_report

        report = export_run(run, config.export, console=console)
        write_report(run.folder, export=json.loads((report.folder / "export.json").read_text("utf-8")))
        story.after_export(done, report.folder)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    console.print(f"\nFrom data to verified exports: [bold]{minutes} min {seconds} s[/]")
    _show_answer(report.folder, console)
    return 0 if report.accepted else 1


def _show_answer(bundle: Path, console: Console) -> None:
    """Ask the exported model in a fresh process, which never loads TensorFlow, and show the commands."""
    from mmkeras.bundle import Bundle

    opened = Bundle.open(bundle)
    raw = opened.golden_raw()[0]
    options = [part for name, value in raw.items() if value is not None for part in (f"--{name}", _shown(value))]
    shown = os.path.relpath(bundle)
    for command in (["predict", shown, *options], ["selftest", shown], ["benchmark", shown]):
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
