"""Converts a dataset once into TFRecord shards with an index; a second call with nothing changed only reads the index.

The result lies in ``<data.folder>/<source>-<fingerprint>``. While it is being made it lies beside that in a folder that
ends in ``.partial``; a run that was killed leaves its finished shards there, and the next one goes on from them.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.components import check_options, find
from mmkeras.config import DataConfig
from mmkeras.data.encode import room
from mmkeras.data.fingerprint import fingerprint, shaped_by
from mmkeras.data.index import INDEX_FILE, QUARANTINE_FILE, Index, Shard, Split
from mmkeras.data.plan import Plan, make_plan
from mmkeras.data.quarantine import BadRow, check_share, reasons, write_report
from mmkeras.data.shards import ShardReport, ShardWork
from mmkeras.data.sources import Sample, SourceBase
from mmkeras.data.splits import SPLITS
from mmkeras.data.workers import write_shards
from mmkeras.errors import ConfigError, DataError
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["convert"]

RESERVED = ("columns", "group", "key", "target", "weight")
PACKAGES = ("mmkeras", "tensorflow", "pillow", "numpy")


def convert(config: DataConfig, modalities: Mapping[str, Any], task: Any, console: Console | None = None) -> Index:
    """Convert the configured source, or find it converted.

    Args:
        config: source, splits, shards and the share of bad rows that is accepted.
        modalities: configuration (or spec) of each modality by name.
        task: configuration of the task; labels that it does not list are found in the data. A spec will do too.
        console: where progress is shown; none is when not given.

    Raises:
        DataError: the source cannot be read, its splits leak, or too many rows are bad.
        ConfigError: options that the source does not have, or a modality with a reserved name.
    """
    source = _source(config)
    _check_names(modalities)
    shaped = shaped_by(config, modalities, task)
    inputs = source.fingerprint_inputs()
    digest = fingerprint(inputs, shaped)
    folder = Path(config.folder) / f"{config.source.name}-{digest[:16]}"
    if (folder / INDEX_FILE).is_file():  # it appears whole; converted data may lie in a read-only folder
        return Index.load(folder)
    with contextlib.suppress(OSError):  # named by the lock
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if (folder / INDEX_FILE).is_file():
            return Index.load(folder)
        samples = list(source.samples())
        labels, spec = _complete(task, samples)
        plan = make_plan(samples, config)
        index_parts = {"fingerprint": digest, "inputs": inputs, "shaped_by": shaped, "labels": labels}
        return _write(folder, config, modalities, spec, plan, index_parts, console)


def _source(config: DataConfig) -> SourceBase:
    cls = find("data.sources", config.source.name).Source
    check_options(cls, config.source.options, "data.source.options")
    source: SourceBase = cls(**config.source.options)
    return source


def _check_names(modalities: Mapping[str, Any]) -> None:
    wrong = [name for name in modalities if name in RESERVED or name.endswith("_present")]
    if wrong or not modalities:
        raise ConfigError(
            f"Expected at least one modality, none of them called {', '.join(RESERVED)} or *_present, "
            f"got {list(modalities)}"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let two runs that want the same data wait for each other; the lock ends with the process, and its file with it.

    Raises:
        DataError: nothing can be written there.
    """
    while True:
        try:
            stream = path.open("w")
        except OSError as error:
            raise DataError(
                f"{path.parent}: nothing can be written here ({error.strerror}). Name another folder with --data.folder"
            ) from None
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            # Whoever held it before has removed the file; then a third one may hold a new file already.
            if not path.exists() or not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _complete(task: Any, samples: list[Sample]) -> tuple[tuple[str, ...], TaskSpec]:
    """Return the labels and the spec that encodes targets."""
    if isinstance(task, TaskSpec):
        return tuple(getattr(task, "labels", ())), task
    labels = tuple(getattr(task, "labels", ()))
    if not labels and hasattr(task, "labels"):
        labels = _labels(samples)
    spec: TaskSpec = task.completed(labels).spec() if hasattr(task, "completed") else task.spec()
    return tuple(getattr(spec, "labels", ())), spec


def _labels(samples: list[Sample]) -> tuple[str, ...]:
    """Return the labels in the data, sorted; what cannot be a label is left to the quarantine."""
    found: set[str] = set()
    for sample in samples:
        several = isinstance(sample.target, list | tuple)
        for value in sample.target if several else (sample.target,):
            if isinstance(value, str | bool | int) and value != "":
                found.add(str(value))
    return tuple(sorted(found))


def _write(
    folder: Path,
    config: DataConfig,
    modalities: Mapping[str, Any],
    spec: TaskSpec,
    plan: Plan,
    index_parts: dict[str, Any],
    console: Console | None,
) -> Index:
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(exist_ok=True)
    works = [ShardWork(partial, *shard) for shard in plan.shards]
    bad = list(plan.bad)
    reports: dict[str, ShardReport] = {}
    report_path = folder.with_name(folder.name + ".quarantine.csv")
    for report in write_shards(works, modalities, spec, config.workers, console):
        reports[report.file] = report
        bad += report.bad
        checked = len(plan.bad) + sum(r.samples + len(r.bad) for r in reports.values())
        check_share(bad, checked, plan.rows, config.max_bad_share, report_path)
    check_share(bad, plan.rows, plan.rows, config.max_bad_share, report_path)
    bad = list(plan.bad) + [row for work in works for row in reports[work.file].bad]
    write_report(partial / QUARANTINE_FILE, bad)
    index = Index(
        folder=folder,
        modalities={name: room(modality) for name, modality in modalities.items()},
        task=spec.to_json(),
        columns=plan.columns,
        splits=_splits(plan, works, reports, bad),
        unassigned=len(plan.bad),
        reasons=reasons(bad),
        written_by=_versions(),
        **index_parts,
    )
    index.save(partial)
    for leftover in [*partial.glob("*.tmp"), *(work.report for work in works)]:
        leftover.unlink(missing_ok=True)
    report_path.unlink(missing_ok=True)
    if folder.exists():  # without an index, or it would have been used
        shutil.rmtree(folder)
    os.replace(partial, folder)
    index = Index.load(folder)
    if console is not None:
        _say(console, index)
    return index


def _splits(
    plan: Plan, works: list[ShardWork], reports: Mapping[str, ShardReport], bad: list[BadRow]
) -> dict[str, Split]:
    quarantined = Counter(row.split for row in bad)
    result = {}
    for name in SPLITS:
        written = [reports[work.file] for work in works if work.split == name]
        if not written:
            continue
        classes: Counter[str] = Counter()
        for report in written:
            classes.update(report.classes)
        samples = sum(report.samples for report in written)
        result[name] = Split(
            rows=samples + quarantined[name] + plan.left_out.get(name, 0),
            samples=samples,
            quarantined=quarantined[name],
            left_out=plan.left_out.get(name, 0),
            shards=tuple(Shard(report.file, report.samples, report.size) for report in written if report.samples),
            classes=dict(sorted(classes.items())),
        )
    return result


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _say(console: Console, index: Index) -> None:
    counts = ", ".join(f"{split.samples} {name}" for name, split in index.splits.items())
    console.print(f"Converted {index.rows} rows: {counts}. Data: {index.folder}")
    if index.quarantined:
        share = math.ceil(1000 * index.quarantined / index.rows) / 10
        console.print(
            f"[yellow]{index.quarantined} rows ({share} %) cannot be used and are left out: {index.quarantine_report}"
        )
