"""Tables of a user's own data: CSV, TSV, JSON lines, Parquet, with everything that a row goes through."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from mmkeras.data.encode import Encoder
from mmkeras.data.quarantine import BadRow, reasons, write_report
from mmkeras.data.sources.table import Source
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.classification.spec import Spec
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_ROWS = [
    {
        "picture": f"{n}.png",
        "question": f"is it a \u201cquoted\u201d, shape {n}?",
        "answer": ("yes", "no")[n % 2],
        "weight": n / 2,
    }
    for n in range(6)
]


def _write(folder: Path, suffix: str) -> None:
    for row in _ROWS:
        Image.new("RGB", (8, 8)).save(folder / str(row["picture"]))
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in _ROWS), "utf-8")
    elif suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_ROWS), path)
    else:
        mark = "," if suffix == ".csv" else "\t"
        lines = [
            list(_ROWS[0]),
            *([f'"{row["question"]}"' if key == "question" else str(row[key]) for key in row] for row in _ROWS),
        ]
        path.write_text("".join(mark.join(line) + "\r\n" for line in lines), "utf-8")


def _read(path: Path) -> object:
    columns: dict[str, str | tuple[str, ...]] = {"image": "picture", "text": "question"}
    source = Source(str(path), columns=columns, target="answer", weight="weight", files=("image",))
    source.fingerprint_inputs()
    modalities = {"image": ImageConfig(size=(8, 8)), "text": TextConfig()}
    rows = Encoder(modalities, Spec(labels=("no", "yes"))).encode(list(source.samples()), "train")
    bad = [row for row in rows if isinstance(row, BadRow)]
    write_report(path.with_name("quarantine.csv"), bad)
    return reasons(bad)


READERS = (
    Reader("table_csv", lambda folder: _write(folder, ".csv"), _read, share=2, left=("*.png",)),
    Reader("table_tsv", lambda folder: _write(folder, ".tsv"), _read, left=("*.png",)),
    Reader("table_jsonl", lambda folder: _write(folder, ".jsonl"), _read, share=2, left=("*.png",)),
    Reader("table_parquet", lambda folder: _write(folder, ".parquet"), _read, share=1.5, left=("*.png",)),
)
