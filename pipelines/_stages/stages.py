"""One run through all stages: data, model, training, evaluation, export."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.training.run import FINISHED
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.answer import show_answer
from pipelines._stages.cluster import join
from pipelines._stages.contract import (
    ConfigT,
    Evaluated,
    Story,
    add_to_metrics,
    check_record,
    record_export,
    record_run,
)
from pipelines._stages.folds import first_fold
from pipelines._stages.training import train_model

if TYPE_CHECKING:
    from export.verification.report import Report
    from mmkeras.training.run import Run

__all__ = ["Outcome", "Plan", "run_stages", "stage"]


@dataclass(frozen=True)
class Plan:
    """The settings of the command line besides the configuration."""

    program: str
    command: str
    export: bool
    record: bool


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    """Exit status: 0; 1 when an exported file missed its gate; 130 when Ctrl-C stopped the training."""
    run: Run | None = None
    """The run; None where nothing was left for this worker of a cluster."""
    report: Report | None = None
    """The export, if there was one."""


def run_stages(config: ConfigT, resumed: Path | None, plan: Plan, console: Console, story: Story[ConfigT]) -> Outcome:
    """Run the stages of a pipeline that are not done yet.

    Args:
        config: the configuration of the run.
        resumed: the folder of the run to continue; None for a new run.
        plan: the settings besides the configuration.
        console: shows progress.
        story: the pipeline's additions.

    Raises:
        MmkerasError: a stage cannot be done; what is finished stays.
    """
    began = time.monotonic()
    joined = join(config, resumed, console)
    cluster, config = joined.cluster, joined.config
    if joined.nothing_left:
        return Outcome(0)
    from mmkeras.model import check_model
    from mmkeras.training.stages import check_stages

    check_stages(config)
    if isinstance(config, StoryConfig):
        _ = config.compared_alone  # refuses unknown names now, not after the training
        config = first_fold(config)
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
        story.after_data(config, index, console)

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
            return Outcome(status, run)
    if not cluster.chief:
        console.print("Training is done; the first worker evaluates and exports.")
        return Outcome(0, run)
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
        done = Evaluated(run, config, model, samples, console, plan.program)
    paused = time.monotonic()
    story.after_evaluation(done)
    began += time.monotonic() - paused  # comparisons train further models
    if plan.record:
        check_record(config, story)  # a cluster may have continued an unfinished run of another configuration
        recorded = record_run(run.folder, story, console)
    if not plan.export:
        run.note(FINISHED)
        return Outcome(0, run)

    with stage(console, "Export"):
        from export.run import export_run
        from mmkeras.evaluation import write_report

        report = export_run(run, config.export, console=console)
        write_report(run.folder, export=json.loads((report.folder / "export.json").read_text("utf-8")))
        story.after_export(done, report.folder)
    run.note(FINISHED)
    took = time.monotonic() - began
    if resumed is None:
        add_to_metrics(run.folder, {"minutes": took / 60})
    if plan.record:
        record_run(run.folder, story, console, recorded)
        record_export(run.folder, report.folder, story.named(config), console)
    minutes, seconds = divmod(round(took), 60)
    console.print(Text.assemble("\nFrom data to verified exports: ", (f"{minutes} min {seconds} s", "bold")))
    show_answer(report.folder, console)
    return Outcome(0 if report.accepted else 1, run, report)


@contextmanager
def stage(console: Console, name: str) -> Iterator[None]:
    """Print the heading of a stage and, at its end, how long it took."""
    began = time.monotonic()
    console.rule(Text(name, style="bold"), align="left")
    yield
    console.print(f"{name.lower()}: {time.monotonic() - began:.0f} s", style="dim")
