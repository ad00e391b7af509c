"""A pipeline's command line, in front of the stages that all pipelines share."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.command_line import Flag, parse
from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.storage.disk import explain
from mmkeras.storage.privacy import Redaction, redacting
from mmkeras.training.cluster.launch import PEER_LOST, launch
from mmkeras.training.cluster.members import find_members
from mmkeras.training.cluster.peers import PeerLostError
from mmkeras.training.environment import check_python
from mmkeras.training.run_folders import release_runs
from pipelines._stages.cluster import with_cluster
from pipelines._stages.contract import ConfigT, Story, bundle_of_run, check_record, record_export, record_run
from pipelines._stages.stages import Plan, run_stages

__all__ = ["run_story"]

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
            description="\n\n".join(filter(None, ((description or "").split("\n\n")[0], story.needs.strip()))),
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
            config = story.configured(config, flags)
        if flags["record"]:
            check_record(config, story)
        if config.cluster.workers > 1 and find_members(os.environ) is None:
            return launch([sys.executable, "-m", f"pipelines.{program.stem}", *arguments], config.cluster, console)
        with redacting(config.privacy.redact) as hidden:
            command = shlex.join(["python", "-m", f"pipelines.{program.stem}", *arguments])
            plan = Plan(program.stem, command, export=not flags["skip_export"], record=bool(flags["record"]))
            return run_stages(config, folder, plan, console, story).status
    except PeerLostError as error:
        print_error(f"Stopped: {error}")
        return PEER_LOST
    except MmkerasError as error:
        print_error(f"{type(error).__name__}: {hidden.message(str(error))}")
        return 2
    except KeyboardInterrupt:
        # Training handles Ctrl-C itself (Interrupted); the other stages leave no half-written file.
        console.print("\nInterrupted. The same command continues from what is finished: shards, checkpoints, bundles.")
        return 130
    except Exception as error:
        if not (said := explain(error)):
            raise
        print_error(f"Stopped: {said}")
        return 2
    finally:
        release_runs()


def _record_finished(
    config_class: type[ConfigT], folder: Path, arguments: Sequence[str], story: Story[ConfigT], console: Console
) -> int:
    others = [a for a in arguments if a.startswith("--") and a.split("=")[0] != "--record"]
    if others:
        raise ConfigError(f"--record RUN records a finished run; it cannot be combined with {', '.join(others)}")
    config = with_cluster(config_class, folder, ())
    check_record(config, story)
    record_run(folder, story, console)
    if (bundle := bundle_of_run(folder, Path(config.export.folder, config.name))) is not None:
        record_export(folder, bundle, story.named(config), console)
    return 0
