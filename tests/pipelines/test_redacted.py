"""The whole story with ``privacy.redact=all``: no text and no name of a sample is written elsewhere."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tiny import write_tiny_config, write_tiny_table

SECRETS = ("ann-example", "of ann example", "wardsevenred", "wardsevenblue")
"""In the names of pictures, in the questions, in a column."""


def _named(table: Path) -> None:
    """Give every sample of the tiny table a name, a text and a column that must not be seen again; lose a picture."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        new = f"ann-example-{row['picture']}"
        (table.parent / row["picture"]).rename(table.parent / new)
        row |= {"picture": new, "question": f"{row['question']} of Ann Example", "asked": f"wardseven{row['asked']}"}
    (table.parent / rows[0]["picture"]).unlink()
    (table.parent / rows[1]["picture"]).write_bytes(b"no picture")
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _contents(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file and, where it is an archive, what is packed in it."""
    yield name, content
    if content.startswith(b"PK\x03\x04") or name.endswith(".mmk"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from _contents(f"{name}:{member}", archive.read(member))


@pytest.mark.slow
def test_nothing_of_a_sample_is_found_in_what_is_written(tmp_path: Path):
    table = write_tiny_table(tmp_path)
    _named(table)
    config = write_tiny_config(tmp_path, table)
    told = ["--privacy.redact", "all", "--data.max_bad_share", "0.1", "--train.epochs", "1"]
    told += ["--export.formats", '["tflite"]', "--export.precisions", '["float32"]', "--export.samples", "6"]
    said = _run("pipelines.vqa", "--config", str(config), *told)
    bundle = tmp_path / "saved_models" / "tiny" / "1"
    packed = tmp_path / "saved_models" / "tiny.mmk"
    said += _run("mmkeras", "pack", str(bundle), "--out", str(packed))
    said += _run("mmkeras", "inspect", str(packed), "--json")
    (quarantine,) = (tmp_path / "data").rglob("quarantine.csv")
    places = [*(tmp_path / "runs").rglob("*"), *(tmp_path / "saved_models").rglob("*"), quarantine]
    files = [path for path in places if path.is_file()]
    names = {path.name for path in files}
    assert {"report.html", "run.json", "metrics.json", "golden.npz", "tiny.mmk", "quarantine.csv"} <= names
    assert any(name.startswith("events.out") for name in names)
    assert len(quarantine.read_text().splitlines()) == 3
    looked_through = [
        ("what was printed", said.encode()),
        *(each for path in files for each in _contents(str(path.relative_to(tmp_path)), path.read_bytes())),
    ]
    for secret in SECRETS:
        found = [name for name, content in looked_through if secret.encode() in content.lower()]
        assert not found, f"{secret!r} is in {found}"
    lost = subprocess.run(
        [sys.executable, "-m", "mmkeras", "predict", str(packed), "--image", "ann-example-gone.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert lost.returncode == 1
    assert "no such file" in lost.stderr
    assert "ann-example" not in lost.stderr
