"""One shard: a TFRecord file and the report that marks it complete.

A record has a bytes feature per modality with its encoded value, ``<modality>_present`` int64, a bytes feature
``target/<name>`` per target (`mmkeras.tasks.TargetSpec` encodes it), ``weight`` float, ``group`` int64, ``key`` bytes,
and ``columns`` bytes, a JSON object.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.core.typed import Checked, read_json
from mmkeras.data.encode import Encoded, target_key
from mmkeras.data.quarantine import BadRow
from mmkeras.data.sources import Sample
from mmkeras.storage.files import write_json

__all__ = ["ShardReport", "ShardWork", "finished", "remarked", "write_shard"]


@dataclass(frozen=True)
class ShardReport:
    """The result of writing one shard; kept beside it until the conversion is complete."""

    file: str
    samples: int
    size: int
    classes: dict[str, int]
    bad: list[BadRow]
    remarks: dict[str, int] = dataclasses.field(default_factory=dict)
    """Rows by remark."""


@dataclass(frozen=True)
class ShardWork:
    """One shard to be written."""

    folder: Path
    file: str
    split: str
    samples: list[Sample]

    @property
    def report(self) -> Path:
        """Path of the report; the file exists only when the shard is complete."""
        return self.folder / f"{self.file}.json"


def finished(work: ShardWork) -> ShardReport | None:
    """Return the report of a shard that an interrupted run has completed; else ``None``."""
    if not work.report.is_file():
        return None
    try:
        value = read_json(work.report, DataError, "")
        report = Checked(str(work.report), DataError, "").build(ShardReport, value)
    except DataError:  # a damaged report: the shard is written again
        return None
    path = work.folder / work.file
    return report if path.is_file() and path.stat().st_size == report.size else None


def write_shard(work: ShardWork, rows: Iterable[Encoded | BadRow]) -> ShardReport:
    """Write one shard and then its report, each under a temporary name first."""
    import tensorflow as tf

    bad: list[BadRow] = []
    classes: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    count = 0
    path = work.folder / work.file
    beside = path.with_name(f"{path.name}.tmp")
    with tf.io.TFRecordWriter(str(beside)) as writer:
        for row in rows:
            if isinstance(row, BadRow):
                bad.append(row)
                continue
            writer.write(_record(row))
            classes.update(row.labels)
            remarks.update(row.remarks)
            count += 1
    size = beside.stat().st_size
    os.replace(beside, path)
    report = ShardReport(work.file, count, size, dict(sorted(classes.items())), bad, dict(sorted(remarks.items())))
    write_json(work.report, dataclasses.asdict(report))
    return report


def remarked(reports: Iterable[ShardReport]) -> list[str]:
    """Return a note for each remark on values, with its number of rows."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.remarks)
    return [f"{count} rows: {remark}" for remark, count in sorted(counts.items())]


def _record(row: Encoded) -> bytes:
    import tensorflow as tf

    def from_bytes(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def from_integer(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[row.weight])),
        "group": from_integer(row.group),
        "key": from_bytes(row.key.encode(errors="backslashreplace")),
        "columns": from_bytes(row.columns),
    }
    for name, target in row.targets.items():
        features[target_key(name)] = from_bytes(target)
    for name, value in row.values.items():
        features[name] = from_bytes(value or b"")
        features[f"{name}_present"] = from_integer(int(value is not None))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
