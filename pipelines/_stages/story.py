"""The stages that every pipeline runs: data, training, evaluation, export, an answer from the exported file."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from mmkeras.core.command_line import Flag, parse
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.storage.disk import explain
from mmkeras.storage.privacy import Redaction, redacting
from mmkeras.training.cluster.launch import PEER_LOST, launch
from mmkeras.training.cluster.members import find_members
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.environment import check_python
from mmkeras.training.run import FINISHED
from mmkeras.training.run_folders import release_runs
from pipelines._stages.answer import show_answer
from pipelines._stages.cluster import join, with_cluster
from pipelines._stages.contract import ConfigT, Evaluated, Story, check_record, record_run
from pipelines._stages.training import train_model

__all__ = ["run_story", "stage"]

_FLAGS = (
    Flag("resume", "Continue a run that was stopped: its folder, or the latest run.", value=True),
    Flag("skip_export", "End after the evaluation."),
    Flag("record", "Write the numbers of this run, or of a finished run's folder, into docs/results.json.", value=True),
)


def run_story(
    config_class: type[ConfigT],
    arguments: Sequence[str] | None,
    *,
    program: Path,
    description: str | None,
    story: Story[ConfigT] | None = None,
) -> int:
    """Run a pipeline from its command line.

    Args:
        config_class: the pipeline's configuration.
        arguments: without the program's name; ``sys.argv`` by default.
        program: the pipeline's file; its defaults are in ``configs/<name>.toml`` beside it.
        description: its first paragraph begins ``--help``.
        story: the pipeline's additions to the stages.

    Returns:
        Exit status: 0; 1 when an exported file missed its gate, 2 for an error, 75 when another worker of a cluster was
        lost, 130 when interrupted.
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
            description=(description or "").split("\n\n")[0],
            defaults=program.parent / "configs" / f"{program.stem}.toml",
            flags=flags_known,
        )
        if (status := story.answer(flags, console)) is not None:
            return status
        if flags["record"] not in (None, "latest"):
            return _record_finished(config_class, Path(flags["record"]), arguments, story, console)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if flags["resume"]:
            own = {f"--{flag.name}" for flag in flags_known}
            others = [a for a in arguments if a.startswith("--") and a.split("=")[0] not in own]
            # A run may be continued on another cluster.
            if others := [a for a in others if not a.startswith("--cluster.")]:
                raise ConfigError(
                    f"--resume uses the run's own configuration; it cannot be combined with {', '.join(others)}"
                )
            folder = Path(config.runs, config.name, "latest") if flags["resume"] == "latest" else Path(flags["resume"])
            config = with_cluster(config_class, folder, arguments)
        else:
            folder = None
        if flags["record"]:
            check_record(config, story)
        if config.cluster.workers > 1 and find_members(os.environ) is None:
            return launch([sys.executable, "-m", f"pipelines.{program.stem}", *arguments], config.cluster, console)
        with redacting(config.privacy.redact) as hidden:
            command = shlex.join(["python", "-m", f"pipelines.{program.stem}", *arguments])
            plan = _Plan(program.stem, command, export=not flags["skip_export"], record=bool(flags["record"]))
            return _run(config, folder, plan, console, story)
    except PeerLostError as error:
        _print_error(f"Stopped: {error}")
        return PEER_LOST
    except MmkerasError as error:
        _print_error(f"{type(error).__name__}: {hidden.message(str(error))}")
        return 2
    except KeyboardInterrupt:
        # Training handles Ctrl-C itself (Interrupted); the other stages leave no half-written file.
        console.print("\nInterrupted. The same command continues from what is finished: shards, checkpoints, bundles.")
        return 130
    except Exception as error:
        if not (said := explain(error)):
            raise
        _print_error(f"Stopped: {said}")
        return 2
    finally:
        release_runs()


def _print_error(message: str) -> None:
    Console(stderr=True).print(message, style="bold red", highlight=False, soft_wrap=True)


def _record_finished(
    config_class: type[ConfigT], folder: Path, arguments: Sequence[str], story: Story[ConfigT], console: Console
) -> int:
    others = [a for a in arguments if a.startswith("--") and a.split("=")[0] != "--record"]
    if others:
        raise ConfigError(f"--record RUN records a finished run; it cannot be combined with {', '.join(others)}")
    check_record(with_cluster(config_class, folder, ()), story)
    record_run(folder, story, console)
    return 0


@dataclass(frozen=True)
class _Plan:
    """The settings of the command line besides the configuration."""

    program: str
    command: str
    export: bool
    record: bool


def _run(config: ConfigT, resumed: Path | None, plan: _Plan, console: Console, story: Story[ConfigT]) -> int:
    began = time.monotonic()
    joined = join(config, resumed, console)
    cluster, config = joined.cluster, joined.config
    if joined.nothing_left:
        return 0
    from mmkeras.model import check_model
    from mmkeras.training.stages import check_stages

    check_stages(config)
    check_model(config.model)
    with stage(console, "Data"), joined.chief_first("data"):
        config = story.prepare(config, console)
        from mmkeras.data.convert import convert
        from mmkeras.data.salvage import usable
        from mmkeras.model import specs_before_data, task_config

        index = joined.converted()
        if index is None:
            index = convert(config.data, specs_before_data(config.model), task_config(config.model), console)
        index = usable(index, config.data.max_bad_records, console)

    with stage(console, "Model"):
        from mmkeras.training.summary import summary_table

        run, config, console = joined.open_run(config, index, console, plan.command)
        model, copy = joined.build(config)
        console.print(summary_table(copy or model))

    query = str(config.model.fusion.options.get("query", ""))
    if not joined.trained:
        with stage(console, "Training"):
            status = train_model(joined, run, config, index, (model, copy), plan.program, query, console)
        if status is not None:
            return status
    if not cluster.chief:
        console.print("Training is done; the first worker evaluates and exports.")
        return 0
    if cluster.members is not None:
        console.print("The other workers end now; messages about missed heartbeats are harmless.", style="dim")

    with stage(console, "Evaluation"):
        from mmkeras.evaluation import evaluate
        from mmkeras.evaluation.attention import attention_figures
        from mmkeras.evaluation.samples import read

        model = run.model()
        samples = read(index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
        attention = attention_figures(model, samples, run.specs, run.task, list(range(min(4, len(samples)))), query)
        evaluate(
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
        done = Evaluated(run, config, model, samples, console)
    story.after_evaluation(done)
    if plan.record:
        check_record(config, story)  # a cluster may have continued an unfinished run of another configuration
        record_run(run.folder, story, console)
    if not plan.export:
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
    console.print(Text.assemble("\nFrom data to verified exports: ", (f"{minutes} min {seconds} s", "bold")))
    show_answer(report.folder, console)
    return 0 if report.accepted else 1


@contextmanager
def stage(console: Console, name: str) -> Iterator[None]:
    """Print the heading of a stage and, at its end, how long it took."""
    began = time.monotonic()
    console.rule(Text(name, style="bold"), align="left")
    yield
    console.print(f"{name.lower()}: {time.monotonic() - began:.0f} s", style="dim")
