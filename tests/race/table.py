"""easy-VQA as both sides read it: the configuration of the pipeline, and one CSV file for it and for Ludwig."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mmkeras.core.command_line import parse
from mmkeras.core.components import Choice, find
from mmkeras.data.splits import assign
from mmkeras.storage.files import write_text
from pipelines.vqa import VqaConfig

__all__ = ["COLUMNS", "easy_vqa_config", "write_table"]

COLUMNS = ("image", "question", "answer", "split", "group")
"""Of the CSV file; ``split`` is train, validation or test, ``group`` names the picture."""


def easy_vqa_config() -> VqaConfig:
    """Return the pipeline's configuration of easy-VQA."""
    defaults = Path(__file__).resolve().parents[2] / "pipelines" / "configs" / "vqa.toml"
    config, _ = parse(VqaConfig, [], program="race", description="", defaults=defaults)
    return config


def write_table(path: Path, limit: int | None = None) -> dict[str, int]:
    """Write the questions with the splits of the pipeline: the official test split, and validation by picture.

    Args:
        path: of the CSV file.
        limit: rows of each split; all by default.

    Returns:
        The number of rows by split.
    """
    config = easy_vqa_config()
    source: Choice = config.data.source
    samples = list(find("data.sources", source.name).Source(**source.options).samples())
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    counts: dict[str, int] = {}
    for sample, split in zip(samples, assign(samples, config.data), strict=True):
        if limit is not None and counts.get(split, 0) >= limit:
            continue
        counts[split] = counts.get(split, 0) + 1
        table.writerow([sample.values["image"], sample.values["text"], sample.target, split, sample.group])
    write_text(path, stream.getvalue())
    return counts
