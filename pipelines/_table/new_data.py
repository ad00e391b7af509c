"""The whole evaluation of a run, or of an exported file, on another table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.source import read_metrics
from mmkeras.bundle import Bundle
from mmkeras.core.command_line import read_toml
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig, EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.evaluation.words import number, title
from mmkeras.media.cells import tidy
from mmkeras.media.table.inputs import names_of
from mmkeras.media.table.rows import read_table
from mmkeras.modalities import ModalitySpec
from mmkeras.runtime.predictor import choose, open_runner
from mmkeras.runtime.rows import Reader
from mmkeras.storage.privacy import recorded, redacting
from mmkeras.tasks import TaskSpec
from mmkeras.training.run import Run

__all__ = ["NewData", "Subject", "evaluate_on", "open_subject"]

_OPTIONAL = ("group", "weight", "key")


@dataclass(frozen=True)
class NewData:
    """A table to evaluate on."""

    table: Path
    """.csv, .tsv, .jsonl or .parquet."""
    target: tuple[str, ...] = ()
    """Its columns of the target; those of the training when empty."""
    mapped: Mapping[str, str] = field(default_factory=dict)
    """Other columns for some modalities."""
    slices: tuple[str, ...] = ()
    """Columns to report by; all further columns when empty."""
    max_bad_share: float | None = None
    """Share of the rows that may be unusable; that of the training by default."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated."""

    name: str
    """Of the model."""
    file: str
    """The evaluated file, for reports."""
    model: Any
    """The Keras model, or a function of dicts of arrays."""
    specs: Mapping[str, ModalitySpec]
    """Modality specs by name."""
    task: TaskSpec
    """The task."""
    config: Mapping[str, Any]
    """The configuration of the training, as nested tables."""
    before: Mapping[str, Any]
    """Its metrics on the test split of the training, by name; may be empty."""


def open_subject(place: Path, stack: ExitStack, *, format: str | None = None, precision: str | None = None) -> Subject:
    """Open the Keras model of a run, or a file of a bundle.

    Args:
        place: the run's folder, the bundle's folder, or a packed bundle.
        stack: closes what was opened.
        format: of a bundle: ``keras``, or as for `mmkeras.runtime.predictor.choose`.
        precision: as for `choose`.

    Raises:
        ConfigError: a format for a run, or one that the bundle does not have.
        MmkerasError: neither a run nor a bundle, or a damaged one.
    """
    if (place / "run.json").is_file():
        if format not in (None, "keras") or precision is not None:
            raise ConfigError(
                f"{place} is a run, which has its Keras model alone; name a bundle for --format, --precision"
            )
        run = Run.open(place)
        config = read_toml(run.folder / "config.toml")
        metrics = read_metrics(run.folder).get("test", {})
        name = run.provenance.get("name", "model")
        return Subject(name, f"{place}: best.keras", run.model(), run.specs, run.task, config, metrics)
    bundle = stack.enter_context(Bundle.open(place))
    provenance = bundle.manifest.provenance
    config = provenance.get("config", {})
    if format == "keras":
        from mmkeras.layers.keras_files import load_model
        from mmkeras.training.run import register_layers

        register_layers()
        model: Any = load_model(bundle.folder / "model.keras")
        shown = f"{bundle.place}: model.keras"
    else:
        file = choose(bundle, format, precision)
        runner = open_runner(bundle, file)
        stack.callback(runner.deactivate)
        model, shown = runner.infer, f"{bundle.place}: {file.path} ({file.format} {file.precision}, {runner.engine})"
    name = bundle.manifest.name
    return Subject(name, shown, model, bundle.specs, bundle.task, config, provenance.get("metrics", {}))


def evaluate_on(subject: Subject, data: NewData, out: Path, console: Console) -> dict[str, Any]:
    """Evaluate on every row of a table, and write metrics.json, report.html and pictures into a folder.

    Rows that cannot be used are listed in ``quarantine.csv`` beside the converted data.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: the table lacks a column, or too many rows cannot be used.
        ConfigError: an option that does not fit.
    """
    from mmkeras.data.convert import convert
    from mmkeras.evaluation import evaluate
    from mmkeras.evaluation.samples import read

    given = dict(subject.config.get("data", {}))
    options = _options(subject, data, console)
    share = given.get("max_bad_share", DataConfig.max_bad_share) if data.max_bad_share is None else data.max_bad_share
    config = DataConfig(
        source=Choice("table", options), folder=given.get("folder", DataConfig.folder), max_bad_share=share
    )
    chosen = dict(subject.config.get("evaluate", {}))
    known = {each.name for each in dataclasses.fields(EvaluateConfig)}
    settings = EvaluateConfig(**{name: each for name, each in chosen.items() if name in known})
    settings = dataclasses.replace(settings, slices=data.slices)
    level = recorded({"config": subject.config})
    with redacting(level.level if level else "none"):
        index = convert(config, subject.specs, subject.task, console)
        if not index.samples("test"):
            raise DataError(f"{data.table}: no row can be used; {index.folder / 'quarantine.csv'} has the reasons")
        samples = read(index, "test", dict(subject.specs), subject.task, batch_size=settings.batch_size)
        facts: dict[str, Any] = {"name": subject.name, "evaluated": subject.file, "data": str(data.table)}
        facts |= {"data_fingerprint": index.fingerprint, "rows": index.rows, "rows_left_out": index.quarantined}
        metrics = evaluate(
            subject.model, samples, subject.specs, subject.task, settings, out, provenance=facts, console=console
        )
    _compare(subject, metrics, console)
    return metrics


def _options(subject: Subject, data: NewData, console: Console) -> dict[str, Any]:
    """Return the options of the table: those of the training, as far as they fit the new one."""
    source = subject.config.get("data", {}).get("source", {})
    before = dict(source.get("options", {})) if source.get("name") == "table" else {}
    columns = Reader(subject.specs, before.get("columns", {}), mapped=data.mapped).columns
    target = data.target or names_of(before.get("target", "label"))
    present = read_table(data.table).columns
    options: dict[str, Any] = {"path": str(data.table), "columns": columns, "whole": "test", "missing": "absent"}
    options["target"] = target[0] if len(target) == 1 else tuple(target)
    if before.get("separator"):
        options["separator"] = before["separator"]
    for role in _OPTIONAL:
        own = before.get(role)
        if own and tidy(own) in present:
            options[role] = own
        elif own:
            console.print(f"{data.table} has no column {own!r}, the {role} of the training", style="yellow")
    return options


def _compare(subject: Subject, metrics: Mapping[str, Any], console: Console) -> None:
    name = subject.task.metric
    before = subject.before.get(name)
    if before:
        then, now = number(name, before["value"]), number(name, metrics["test"][name]["value"])
        console.print(f"{title(name)}: {now} here, {then} on the test split of the training", highlight=False)
