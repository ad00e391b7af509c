"""``mmkeras.fit`` in Python: a table becomes a trained run, and the run a bundle that predicts.

run = mmkeras.fit("samples.csv", target="answer")
bundle = run.export("tflite", precision="int8")
bundle.predict(image="a.png", text="what shape is it?")
"""

from __future__ import annotations

import html
import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.command_line import parse, read_toml
from mmkeras.core.components import check_options
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError, ExportError, TrainingError
from mmkeras.core.typed import read_json
from mmkeras.media.table.inputs import names_of
from mmkeras.runtime.predictor import Predictor
from mmkeras.storage.privacy import redacting
from mmkeras.training.environment import check_python
from mmkeras.training.run import Run
from mmkeras.training.run_folders import release_runs
from pipelines._stages.contract import Story
from pipelines._stages.stages import Plan, run_stages
from pipelines._table.frames import write_frame
from pipelines._table.new_data import NewData, evaluate_on, open_subject
from pipelines._table.request import Request, write_configuration
from pipelines._table.time_plan import seconds_of

if TYPE_CHECKING:
    from export.verification.report import Report

__all__ = ["FittedRun", "ReportPage", "check_accepted", "fit"]

_ONE = threading.Lock()
"""Keras and TensorFlow have one global state: trainings of several threads run one after another."""


@dataclass(frozen=True)
class ReportPage:
    """The report of an evaluation; a notebook shows the page."""

    path: Path
    """``report.html``."""

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text("utf-8"), quote=True)
        return (
            f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0" title="{self.path.name}"></iframe>'
        )


@dataclass(frozen=True)
class FittedRun:
    """A finished training on a table."""

    folder: Path
    """The folder."""
    config: Path
    """The configuration that was written; ``mmkeras train`` runs it again."""

    @property
    def details(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return read_json(self.folder / "metrics.json", DataError, "Evaluate the run again.")

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the Keras model on the test split, by name."""
        return {name: entry["value"] for name, entry in self.details["test"].items()}

    @property
    def report(self) -> ReportPage:
        """The report, with all pictures."""
        return ReportPage(self.folder / "report.html")

    def export(
        self,
        *formats: str,
        precision: str | Sequence[str] | None = None,
        strict: bool = True,
        quiet: bool = False,
        **options: Any,
    ) -> Predictor:
        """Export, hold every file to the Keras model, and open the bundle for predictions.

        Args:
            *formats: ``tflite``, ``onnx``, ``saved_model``; all of them when not given.
            precision: one or several of ``float32``, ``float16``, ``int8-dynamic``, ``int8``; all when not given.
            strict: raise when any file missed its gate; otherwise only when all did. Rejected files are never run.
            quiet: show no progress.
            **options: further fields of `mmkeras.core.config.ExportConfig`, such as ``samples`` or ``max_metric_drop``.

        Returns:
            The bundle, which predicts with its most exact accepted file; ``bundle.folder`` is its place.

        Raises:
            ExportError: a file missed its gate; the message has the reasons. The bundle stays for inspection.
            ConfigError: an unknown format, precision or option.
        """
        from export.run import export_run
        from mmkeras.evaluation import write_report

        if formats:
            options["formats"] = formats
        if precision is not None:
            options["precisions"] = (precision,) if isinstance(precision, str) else tuple(precision)
        check_options(ExportConfig, options, "export")
        with _ONE, redacting(_redact(self.folder)):
            report = export_run(Run.open(self.folder), ExportConfig(**options), console=Console(quiet=quiet))
            write_report(self.folder, export=json.loads((report.folder / "export.json").read_text("utf-8")))
        check_accepted(report, strict=strict)
        wanted = [each for each in formats or ("tflite", "onnx") if each != "saved_model"]
        chosen = wanted[0] if len(wanted) == 1 else None
        return Predictor(report.folder, chosen, precision if isinstance(precision, str) else None)

    def evaluate(
        self, data: Any, *, target: str | Sequence[str] = (), out: str | Path | None = None, quiet: bool = False
    ) -> dict[str, Any]:
        """Evaluate the Keras model on every row of new data, with the whole report.

        Args:
            data: a table's file, or a DataFrame.
            target: columns of the target, where the table calls them otherwise.
            out: folder of the report; ``evaluation`` in the run's folder when not given.
            quiet: show no progress.

        Returns:
            The content of ``metrics.json``.

        Raises:
            DataError: the table lacks a column, or too many rows cannot be used.
        """
        out = self.folder / "evaluation" if out is None else Path(out)
        path = write_frame(data, out / "table") if _is_frame(data) else Path(data)
        with _ONE, ExitStack() as stack:
            subject = open_subject(self.folder, stack)
            return evaluate_on(subject, NewData(path, names_of(target)), out, Console(quiet=quiet))

    def __repr__(self) -> str:
        """Return the folder and the metrics."""
        shown = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"FittedRun({os.path.relpath(self.folder)!r}: {shown})"


def fit(
    table: Any,
    target: str | Sequence[str] = (),
    *,
    quality: str = "",
    time_limit: str | float | None = None,
    pretrained: str = "auto",
    ignore: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    name: str = "",
    config: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> FittedRun:
    """Train a model on a table, and evaluate it on rows that are held out: ``mmkeras fit`` in Python.

    Kinds and roles of the columns are inferred and shown with their reasons. Several threads may call it; their
    trainings run one after another.

    Args:
        table: a .csv, .tsv, .jsonl or .parquet file, a folder of class folders, or a DataFrame, whose cells may also be
            pictures (Pillow images, uint8 arrays, bytes). Relative paths start from the file's folder; those of a
            DataFrame from the working folder.
        target: the column to predict; several columns must all be numbers.
        quality: ``fast``, ``balanced`` or ``best``: the size of the model; when empty fast, or what fits the limit.
        time_limit: of training and evaluation: ``10m``, ``90s``, or seconds. A training step is measured first.
        pretrained: ``auto``, ``yes`` or ``no``: frozen pretrained weights for pictures and texts.
        ignore: columns to leave out.
        kinds: kinds by column, in place of the inferred ones.
        roles: roles by column (input, split, group, weight, key, unused), in place of the inferred ones.
        name: name of the run and of the bundle; the table's name when not given.
        config: the configuration to write; ``<name>.toml`` when not given.
        options: keys of the configuration for this run, such as ``{"train.epochs": 3}``.
        quiet: show no progress.

    Returns:
        The run, with ``metrics``, ``report``, ``export`` and ``evaluate``.

    Raises:
        ConfigError, DataError: the table cannot be read, or an argument does not fit it.
        TrainingError: the training failed, or was stopped with Ctrl-C; the message says how to go on.
    """
    from pipelines.table import DEFAULTS, TableConfig

    check_python()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console = Console(quiet=quiet)
    if _is_frame(table):
        name = name or "table"
        table = write_frame(table, Path(f"{name}_table"))
    request = Request(
        Path(table),
        names_of(target),
        quality,
        tuple(ignore),
        kinds or {},
        roles or {},
        name,
        None if config is None else Path(config),
        None if time_limit is None else seconds_of(time_limit),
        pretrained,
    )
    with _ONE:
        file = write_configuration(request, console, exports=False)
        arguments = ["--config", str(file)]
        for key, value in (options or {}).items():
            arguments += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
        chosen, _ = parse(TableConfig, arguments, program="mmkeras.fit", description="", defaults=DEFAULTS)
        plan = Plan("table", f"mmkeras train {file}", export=False, record=False)
        try:
            with redacting(chosen.privacy.redact):
                outcome = run_stages(chosen, None, plan, console, Story())
        finally:
            release_runs()
    if outcome.run is None or outcome.status:
        raise TrainingError(f"The training was stopped. Go on with: mmkeras train {file} --resume")
    return FittedRun(outcome.run.folder, file)


def _is_frame(table: Any) -> bool:
    """Return whether a table is a DataFrame, without importing pandas."""
    return hasattr(table, "columns") and hasattr(table, "notna")


def _redact(folder: Path) -> Any:
    return read_toml(folder / "config.toml").get("privacy", {}).get("redact", "none")


def check_accepted(report: Report, *, strict: bool) -> None:
    """Raise an `ExportError` with the reasons when every file missed its gate; with ``strict``, when any did."""
    refused = [file for file in report.files if not file.accepted]
    if refused and (strict or len(refused) == len(report.files)):
        reasons = "; ".join(f"{file.format} {file.precision}: {file.reason}" for file in refused)
        kept = "no file was accepted" if len(refused) == len(report.files) else "strict=False takes the others"
        raise ExportError(f"{report.folder}: {reasons} ({kept})")
