"""``MODEL_CARD.md`` of a bundle, generated from manifest.json, export.json, metrics.json and benchmark.json.

Every export writes one. To write it again, for example with the output of `mmkeras benchmark --json` as benchmark.json:

    python -m export.model_card saved_models/vqa/1 --metrics runs/vqa/latest/metrics.json

The form follows Mitchell et al. 2019, Model Cards for Model Reporting (https://arxiv.org/abs/1810.03993).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.card.sections import SECTIONS, Measured
from export.card.text import mapping, plain
from mmkeras.bundle.manifest import read_manifest
from mmkeras.core.errors import DataError, MmkerasError
from mmkeras.core.terminal import say, utf8_program
from mmkeras.core.typed import read_json
from mmkeras.storage.files import write_text

__all__ = ["CARD_NAME", "METRICS_NAME", "main", "model_card", "write_card"]

CARD_NAME = "MODEL_CARD.md"
METRICS_NAME = "metrics.json"
"""The evaluation of the Keras model."""


def model_card(folder: Path, metrics: Path | None = None) -> str:
    """Return the card of a bundle as Markdown, with the evaluation in ``metrics`` or in the bundle's metrics.json.

    Raises:
        BundleError: no bundle, or a damaged manifest.
        DataError: a report cannot be read, or is of another model.
    """
    manifest = read_manifest(folder)
    benchmark = _read(folder / "benchmark.json").get("files")
    timings = [entry for entry in benchmark if isinstance(entry, dict)] if isinstance(benchmark, list) else []
    measured = Measured(
        manifest,
        _read(folder / "export.json"),
        _read(folder / METRICS_NAME) if metrics is None else _read(metrics, required=True),
        {f"{entry.get('format')} {entry.get('precision')}": entry for entry in timings},
    )
    _check(measured, metrics)
    parts = [f"# {plain(manifest.name)}, version {manifest.version}\n"]
    if measured.notice:
        parts.append(f"> **{plain(measured.notice)}**\n")
    try:
        parts += [f"## {heading}\n\n{write(measured)}" for heading, write in SECTIONS.items()]
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{folder}: a report has not the form that an export or an evaluation writes ({type(error).__name__}: "
            f"{error!s:.200}). Evaluate or export again."
        ) from error
    return "\n".join(parts)


def write_card(folder: Path, metrics: Path | None = None, out: Path | None = None) -> Path:
    """Write the card into the bundle, or to ``out``, and return its path."""
    return write_text(out or folder / CARD_NAME, model_card(folder, metrics))


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Write a bundle's card and return the exit status: 0, or 2 where it cannot be written."""
    parser = argparse.ArgumentParser(
        "python -m export.model_card", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder, for example saved_models/vqa/1")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="metrics.json of the run (default: the bundle's)")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: {CARD_NAME} in the bundle")
    given = parser.parse_args(arguments)
    try:
        say(write_card(given.bundle, given.metrics, given.out))
    except (MmkerasError, OSError) as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    return 0


def _check(measured: Measured, metrics: Path | None) -> None:
    """Check that the metrics are of this model."""
    provenance = mapping(measured.metrics, "provenance")
    for key in ("data_fingerprint", "created"):
        theirs, ours = provenance.get(key), measured.manifest.provenance.get(key)
        if theirs and ours and theirs != ours:
            raise DataError(
                f"{metrics or METRICS_NAME}: provenance.{key}: expected {ours}, as in the manifest, got {theirs}. "
                "Name the metrics.json of the run that the bundle was exported from."
            )


def _read(path: Path, *, required: bool = False) -> dict[str, Any]:
    try:
        return read_json(path, DataError, "Evaluate or export again.")
    except FileNotFoundError as error:
        if not required:
            return {}
        raise DataError(f"There is no file {path}. Name the metrics.json of the bundle's run.") from error


if __name__ == "__main__":
    sys.exit(main())
