"""Converts a dataset once into TFRecord shards with an index; later calls with the same inputs read the index only.

The result lies in ``<data.folder>/<source>-<fingerprint>``, and during the conversion in a folder beside it that ends
in ``.partial``. A killed run leaves its finished shards there, and the next run continues from them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.components import Choice, check_options, find
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.encode import kind_of
from mmkeras.data.fingerprint import fingerprint, shaped_by
from mmkeras.data.index import INDEX_FILE, QUARANTINE_FILE, Index, Shard, Split
from mmkeras.data.labels import labels_of, only_held_out, tidy_labels
from mmkeras.data.plan import Plan, make_plan
from mmkeras.data.quarantine import BadRow, check_share, reasons, write_report
from mmkeras.data.shards import ShardReport, ShardWork, remarked
from mmkeras.data.sources import Sample, SourceBase
from mmkeras.data.splits import SPLITS
from mmkeras.data.workers import write_shards
from mmkeras.modalities import Facts, ModalitySpec, specs_of
from mmkeras.storage.files import locked
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["convert"]

RESERVED = ("columns", "group", "key", "target", "weight")
PACKAGES = ("mmkeras", "tensorflow", "pillow", "numpy")


def convert(config: DataConfig, modalities: Mapping[str, Any], task: Any, console: Console | None = None) -> Index:
    """Convert the configured source, or load its converted data.

    Args:
        config: source, splits, shards and the accepted share of bad rows.
        modalities: configuration (or spec) of each modality by name.
        task: configuration (or spec) of the task; labels that it does not list come from the data.
        console: where progress is shown; optional.

    Raises:
        DataError: the source cannot be read, its splits leak, or too many rows are bad.
        ConfigError: options that the source does not have, or a modality with a reserved name.
    """
    _check_names(modalities)
    specs = specs_of(modalities, before_data=True)
    source, config = _source(config, specs)
    shaped = shaped_by(config, specs, task)
    inputs = source.fingerprint_inputs()
    digest = fingerprint(inputs, shaped)
    folder = Path(config.folder) / f"{config.source.name}-{digest[:16]}"
    if (folder / INDEX_FILE).is_file():  # only complete folders have it, and they may be read-only
        return _loaded(folder, console)
    with contextlib.suppress(OSError):  # reported by the lock
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock"), console):
        if (folder / INDEX_FILE).is_file():
            return _loaded(folder, console)
        samples = list(source.samples())
        notes: list[str] = []
        if _reads_labels(task):
            samples, notes = tidy_labels(samples, task.labels)
        labels, spec = _complete(task, samples, specs)
        plan = make_plan(samples, config, [name for name, modality in specs.items() if kind_of(modality) != "text"])
        _check_present(samples, specs)
        plan = replace(plan, notes=(*notes, *plan.notes))
        index_parts = {"fingerprint": digest, "inputs": inputs, "shaped_by": shaped, "labels": labels}
        return _write(folder, config, specs, spec, plan, index_parts, console)


def _loaded(folder: Path, console: Console | None, new: bool = False) -> Index:
    """Load converted data, and print its notes and, for a new conversion, its counts."""
    index = Index.load(folder)
    if console is None:
        return index
    if new:
        counts = ", ".join(f"{split.samples} {name}" for name, split in index.splits.items())
        console.print(f"Converted {index.rows} rows: {counts}. Data: {index.folder}")
    if new and index.quarantined:
        share = math.ceil(1000 * index.quarantined / index.rows) / 10
        said = f"{index.quarantined} rows ({share} %) cannot be used and are left out: {folder / QUARANTINE_FILE}"
        console.print(said, style="yellow")
    for note in index.notes:
        console.print(f"Data: {note}", style="yellow")
    return index


def _source(config: DataConfig, specs: Mapping[str, ModalitySpec]) -> tuple[SourceBase, DataConfig]:
    """Return the source for the modalities, and the configuration with its derived options."""
    cls = find("data.sources", config.source.name).Source
    check_options(cls, config.source.options, "data.source.options")
    given: SourceBase = cls(**config.source.options)
    source = given.derived(specs)
    changed = {
        field.name: value
        for field in dataclasses.fields(source)
        if (value := getattr(source, field.name)) != getattr(given, field.name)
    }
    return source, replace(config, source=Choice(config.source.name, {**config.source.options, **changed}))


def _reads_labels(task: Any) -> bool:
    """Return whether the raw targets of a task, given by configuration or spec, are labels."""
    return hasattr(task, "labels") and find("tasks", kind_of(task), "spec").Spec.reads_labels


def _check_names(modalities: Mapping[str, Any]) -> None:
    wrong = [name for name in modalities if name in RESERVED or name.endswith("_present")]
    if wrong or not modalities:
        raise ConfigError(
            f"Expected at least one modality, none of them called {', '.join(RESERVED)} or *_present, "
            f"got {list(modalities)}"
        )


def _check_present(samples: list[Sample], modalities: Mapping[str, Any]) -> None:
    """Check that each modality is present in some row: a model would be trained without it, unnoticed."""
    readable = [sample for sample in samples if not isinstance(sample.target, Exception)]
    for name in modalities if readable else ():
        if all(sample.values.get(name) is None for sample in readable):
            why = Counter(remark for sample in readable for remark in sample.remarks).most_common(1)
            reason = f" ({why[0][0]})" if why else ""
            raise DataError(
                f"the modality {name!r} is absent in all {len(readable)} rows{reason}. Check the source's options, "
                "or build the model without it"
            )


@contextlib.contextmanager
def _locked(path: Path, console: Console | None) -> Iterator[None]:
    """Make runs that convert the same data wait for each other."""
    say = None if console is None else partial(console.print, highlight=False, soft_wrap=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path, "which converts the same data", say))
        except OSError as error:
            raise DataError(
                f"{path.parent}: cannot be written to ({error.strerror}). Choose another folder with --data.folder"
            ) from None
        yield


def _complete(task: Any, samples: list[Sample], specs: Mapping[str, ModalitySpec]) -> tuple[tuple[str, ...], TaskSpec]:
    """Return the labels and the spec that encodes targets."""
    if isinstance(task, TaskSpec):
        return task.label_names, task
    labels = tuple(getattr(task, "labels", ()))
    if not labels and _reads_labels(task):
        labels = labels_of(samples)
    spec: TaskSpec = task.spec(specs, Facts(labels))
    return spec.label_names, spec


def _write(
    folder: Path,
    config: DataConfig,
    modalities: Mapping[str, ModalitySpec],
    spec: TaskSpec,
    plan: Plan,
    index_parts: dict[str, Any],
    console: Console | None,
) -> Index:
    unfinished = folder.with_name(folder.name + ".partial")
    unfinished.mkdir(exist_ok=True)
    works = [ShardWork(unfinished, *shard) for shard in plan.shards]
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
    write_report(unfinished / QUARANTINE_FILE, bad)
    splits = _splits(plan, works, reports, bad)
    index = Index(
        folder=folder,
        modalities={name: kind_of(modality) for name, modality in modalities.items()},
        task=spec.to_json(),
        targets={target.name: str(target) for target in spec.targets},
        columns=plan.columns,
        splits=splits,
        unassigned=len(plan.bad),
        notes=(*plan.notes, *remarked(reports.values()), *only_held_out({n: s.classes for n, s in splits.items()})),
        reasons=reasons(bad),
        written_by=_versions(),
        **index_parts,
    )
    index.save(unfinished)
    for leftover in [*unfinished.glob("*.tmp"), *(work.report for work in works)]:
        leftover.unlink(missing_ok=True)
    report_path.unlink(missing_ok=True)
    if folder.exists():  # without an index, or it would have been used
        shutil.rmtree(folder)
    os.replace(unfinished, folder)
    return _loaded(folder, console, new=True)


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
