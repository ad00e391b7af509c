"""Runs a whole export: convert, verify, judge, describe, publish.

Each submodel that the model's head names is exported to a bundle of its own with the same version:
``saved_models/<name>.<submodel>/<version>``. TensorFlow Serving and every command of mmkeras load it like any other.
"""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import ExitStack
from pathlib import Path

from export.build import build
from export.bundles import build_folder, next_version, publish
from export.formats import Format, plan
from export.source import Source, load_source, source_from_run
from export.submodels import on_samples, submodel_sources
from export.verification.gates import gates_of
from export.verification.report import Report
from export.verification.table import print_report
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.data.coverage import coverage, warnings
from mmkeras.training.run import Run

__all__ = ["export_run", "export_source"]

ENOUGH = 500
"""Verification samples below which a warning is printed."""


def export_run(run: Run | Path, config: ExportConfig | None = None, *, console: Console | None = None) -> Report:
    """Export a run, or a bundle again, and verify every file.

    Args:
        run: an open run, the folder of one, or a bundle's folder.
        config: formats, precisions, samples and the output folder.
        console: shows the progress and the table.

    Returns:
        The report; ``accepted`` is False when a file missed its gate, or with a ladder when every rung of a format
        did, in the bundle of the model or of one of its submodels.

    Raises:
        ConfigError: an unknown format or precision, or a sample count below 1.
        ExportError: the model itself cannot be exported. A single failing format does not raise.
        MmkerasError: the run, bundle or data cannot be used.
    """
    config = config or ExportConfig()
    _check(config)
    source = source_from_run(run, config.samples) if isinstance(run, Run) else load_source(run, config.samples)
    return export_source(source, config, console=console)


def export_source(source: Source, config: ExportConfig, *, console: Console | None = None) -> Report:
    """Export a model that is in memory. See `export_run`."""
    _check(config)
    console = console or Console()
    targets = _targets(config)
    # For a submodel's bundle that is exported again: its samples come from the data of the whole model.
    source = on_samples(source, source.samples)
    parts = submodel_sources(source)
    if parts:
        names = [part.name for part in parts.values()]
        source = dataclasses.replace(source, provenance={**source.provenance, "submodels": names})
    # Refuse a budget that is out of range before the work begins.
    gates_of(source.task, config.max_metric_drop, config.max_flips)
    if len(source.samples) < ENOUGH:
        few = f"Only {len(source.samples)} test samples to verify on; {ENOUGH} or more are better."
        console.print(few, style="yellow")
    shares = coverage(source.specs, (sample.values for sample in source.samples))
    for line in warnings(shares, "the verification samples"):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        built = []
        for each in (source, *parts.values()):
            if parts:
                console.print(f"Exporting {each.name}", highlight=False)
            folder = stack.enter_context(build_folder(Path(config.folder), each.name))
            seen = {name: found for name, found in shares.items() if name in each.specs}
            built.append(build(folder, each, config, targets, seen, console))
        version = max(next_version(bundle.folder.parent) for bundle in built)
        whole, *others = built
        submodels = tuple(bundle.report(version) for bundle in others)
        report = whole.report(version, submodels)
        for bundle, described in zip(built, (report, *submodels), strict=True):
            bundle.describe(described)
        # The whole model last: once its bundle is there, those of its submodels are, too.
        _publish([bundle.folder for bundle in (*others, whole)], version)
    for described in (report, *submodels):
        print_report(described, console)
    return report


def _publish(folders: list[Path], version: int) -> None:
    """Move finished builds to their places, all of them or none."""
    done: list[Path] = []
    try:
        for folder in folders:
            done.append(publish(folder, version))
    except BaseException:
        for place in done:
            shutil.rmtree(place, ignore_errors=True)
        raise


def _targets(config: ExportConfig) -> list[tuple[Format, list[str]]]:
    """Return formats with their precisions; a ladder with the default precisions has all its rungs."""
    every = config.precisions == ExportConfig().precisions
    return plan(config.formats, () if config.ladder and every else config.precisions, ladder=config.ladder)


def _check(config: ExportConfig) -> None:
    for name, use in (("samples", " to verify on"), ("search_samples", " to search with"), ("calibration_samples", "")):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name}: expected at least 1{use}, got {getattr(config, name)}")
    _targets(config)
