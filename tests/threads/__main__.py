"""Answers of one Predictor under several threads: each must be that of its own request (make threads).

    python -m tests.threads                                   # a tiny bundle that is made here, every runner
    python -m tests.threads --bundle saved_models/vqa/1 --answers 10000
    python -m tests.threads --record                          # also writes threads.wrong to docs/results.json

Every accepted edge file of the bundle whose engine is installed, in the folder and in a packed bundle, and the
SavedModel. Results go to runs/threads.json (schema: mmkeras/schemas/threads.schema.json).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.runtime import Predictor
from mmkeras.runtime.predictor import candidates
from mmkeras.runtime.runner import runners
from mmkeras.storage.files import write_json
from tests.threads.bundle import write_bundle
from tests.threads.load import Answer, distinct, under_load

__all__ = ["main", "measure"]

_RECORDED = 100_000
"""Answers of each runner that a recorded number stands for."""
_RECORDED_THREADS = 8


@dataclass(frozen=True)
class _Target:
    """One file of a bundle, and how it is opened."""

    bundle: Bundle
    file: ExportedFile

    @property
    def name(self) -> str:
        packed = ", packed" if self.bundle.packed else ""
        return f"{self.file.format} {self.file.precision}{packed}"


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; return 0, 1 where an answer was wrong, 2 for an error."""
    parser = argparse.ArgumentParser("python -m tests.threads", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", help="bundle to ask (default: a tiny one that is made for this)")
    parser.add_argument("--threads", type=int, default=_RECORDED_THREADS, help="threads that ask (%(default)s)")
    parser.add_argument("--answers", type=int, default=_RECORDED, help="answers of each runner (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write threads.wrong to docs/results.json")
    parser.add_argument("--out", type=Path, default=Path("runs/threads.json"), help="where to write (%(default)s)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    try:
        _check(given)
        with tempfile.TemporaryDirectory(prefix="mmkeras-threads-") as work:
            path = Path(given.bundle) if given.bundle else write_bundle(Path(work, "made"))
            rows = measure(path, Path(work), threads=given.threads, answers=given.answers, console=console)
    except MmkerasError as error:
        print_error(error)
        return 2
    from mmkeras.training.environment import machine, package_versions

    faults = sum(row["wrong"] + sum(row["errors"].values()) for row in rows)
    result = {
        "threads": given.threads,
        "answers": given.answers,
        "bundle": given.bundle or "a tiny one, made for this",
        "wrong": faults,
        "runners": rows,
        "machine": {**machine(), "packages": package_versions()},
    }
    write_json(given.out, result)
    _show(rows, given.threads, console)
    console.print(f"written to {given.out}", markup=False)
    if given.record:
        from pipelines._stages.results import record

        record("threads.wrong", faults)
    return 1 if faults else 0


def measure(
    path: Path, work: Path, *, threads: int, answers: int, console: Console, packed: bool = True
) -> list[dict[str, Any]]:
    """Ask every runner of a bundle and return a row for each, as in threads.json.

    Args:
        path: the bundle.
        work: scratch folder.
        threads: threads that ask.
        answers: answers of each runner.
        console: shows the progress.
        packed: ask the files of the packed bundle, too.

    Raises:
        ConfigError: no engine of any file is installed.
        DataError: the bundle's golden samples have too few different answers.
    """
    rows = []
    with _opened(path, work, packed) as bundles:
        requests = bundles[0].golden_raw()
        for target in (target for bundle in bundles for target in _targets(bundle)):
            with _answering(target) as (answer, engine), console.status(target.name) as status:
                expected = distinct(answer, requests)
                alone = under_load(answer, expected, threads=1, answers=max(answers // 100, 1))
                load = under_load(
                    answer,
                    expected,
                    threads=threads,
                    answers=answers,
                    progress=lambda done, name=target.name, status=status: status.update(  # type: ignore[misc]
                        f"{name}: {done:,} of {answers:,}"
                    ),
                )
            rows.append(
                {
                    "runner": target.name,
                    "engine": engine,
                    "requests": len(expected),
                    "answers": load.answers,
                    "wrong": load.wrong,
                    "errors": dict(load.errors),
                    "per_second": load.answers / load.seconds,
                    "per_second_alone": alone.answers / alone.seconds,
                }
            )
    if not rows:
        raise ConfigError(f"{path}: no file that can be run here. Install an engine: pip install 'mmkeras[litert]'")
    return rows


def _check(given: argparse.Namespace) -> None:
    if given.threads < 1 or given.answers < given.threads:
        raise ConfigError(f"Expected an answer for each of {given.threads} threads at least, got {given.answers}")
    if given.record and (given.answers < _RECORDED or given.threads != _RECORDED_THREADS or given.bundle):
        raise ConfigError(
            f"--record stands for {_RECORDED:,} answers of every runner under {_RECORDED_THREADS} threads on the "
            "bundle that is made for this: leave the other options out"
        )


@contextmanager
def _opened(path: Path, work: Path, packed: bool) -> Iterator[list[Bundle]]:
    """Yield the bundle, and the packed bundle that is made of it."""
    from mmkeras.runtime.packing import pack_bundle

    with Bundle.open(path) as bundle:
        if bundle.packed or not packed:
            yield [bundle]
            return
        with Bundle.open(pack_bundle(bundle, work / "threads.mmk")) as other:
            yield [bundle, other]


def _targets(bundle: Bundle) -> list[_Target]:
    engines = runners()
    here = [file for file in candidates(bundle) if file.accepted]
    found = [file for file in here if file.format in engines and engines[file.format].available()]
    held = [_Target(bundle, file) for file in found if file in bundle.files and bundle.holds(file)]
    held += [_Target(bundle, file) for file in found if file not in bundle.files]
    if not bundle.packed:
        held += [_Target(bundle, file) for file in here if file.format == "saved_model"]
    return held


@contextmanager
def _answering(target: _Target) -> Iterator[tuple[Answer, str]]:
    """Yield what answers a request, and the engine's name."""
    if target.file.format == "saved_model":
        from export.verification.runners import open_saved_model

        infer, bundle = open_saved_model(target.bundle.folder), target.bundle

        def answer(values: Mapping[str, Any]) -> Any:
            inputs = {
                name: np.asarray(array)[None]
                for spec in bundle.specs.values()
                for name, array in spec.inputs(values.get(spec.name)).items()
            }
            return bundle.task.decode(infer(inputs))[0]

        yield answer, "TensorFlow"
        return
    with Predictor(target.bundle, target.file.format, target.file.precision) as predictor:
        yield lambda values: predictor.predict(**values), predictor.runner.engine


def _show(rows: Sequence[Mapping[str, Any]], threads: int, console: Console) -> None:
    table = Table(title=f"One Predictor under {threads} threads", title_justify="left")
    for heading in ("runner", "answers", "wrong", "errors", "answers/s", "of one thread"):
        table.add_column(heading, justify="left" if heading == "runner" else "right")
    for row in rows:
        errors = sum(row["errors"].values())
        table.add_row(
            row["runner"],
            f"{row['answers']:,}",
            f"{row['wrong']:,}",
            f"{errors:,}",
            f"{row['per_second']:,.0f}",
            f"{row['per_second_alone']:,.0f}",
            style="red" if row["wrong"] or errors else "",
        )
    console.print(table)
    for row in rows:
        for error, count in row["errors"].items():
            console.print(f"  {row['runner']}: {count} times {error}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
