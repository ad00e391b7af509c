"""Small tables of pictures and texts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from tests.media.image.pictures import file, picture

COLUMNS: dict[str, str | tuple[str, ...]] = {"image": "file", "text": "question"}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(10)))
SIZE = (16, 24)


def write_images(folder: Path, count: int, size: tuple[int, int] = (20, 30)) -> list[str]:
    """Write PNG files and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(file(picture(*size, seed=number)))
    return names


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def good_rows(names: list[str], count: int) -> list[dict[str, Any]]:
    """Return rows that share pictures, have three labels, a patient each four rows, a weight and a column."""
    return [
        {
            "file": names[n % len(names)],
            "question": f"word{n % 10} word{n % 7}",
            "label": "abc"[n % 3],
            "patient": f"p{n // 4}",
            "weight": 1 + n % 2,
            "colour": "red" if n % 5 else "blue",
        }
        for n in range(count)
    ]


def table_config(path: Path, folder: Path, options: dict[str, Any] | None = None, **fields: Any) -> DataConfig:
    """Return the configuration that converts a table."""
    source = Choice("table", {"path": str(path), "columns": COLUMNS, **(options or {})})
    return DataConfig(**{"source": source, "folder": str(folder), "workers": 1, **fields})


def modality_configs(folder: Path, **image: Any) -> dict[str, Any]:
    """Return configurations of both modalities; the vocabulary is written into the folder."""
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return {"image": ImageConfig(size=SIZE, **image), "text": TextConfig(max_length=6, vocabulary=str(vocabulary))}
