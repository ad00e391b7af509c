"""The race against plain PyTorch and Ludwig on easy-VQA: python -m tests.race (make race).

    python -m tests.race                          # every part, one after another
    python -m tests.race --only step inference    # a part writes its result at once; the parts can run on other days
    python -m tests.race --record                 # also writes race.* to docs/results.json

    step        CPU time of a training step, mmkeras / plain PyTorch with the same weights, batch, loss and optimizer
    inference   CPU time of one answer, the exported LiteRT file / torch.compile, and other engines
    seeds       full trainings with the faster operations and with Keras' own, three seeds each
    ludwig      Ludwig for six epochs on a CSV file, then mmkeras on the same file within the same CPU time
    tables      mmkeras fit on small public tables, then Ludwig on each for at least the same CPU time

PyTorch and Ludwig have an environment of their own, .venv-peers; without it, parts that need it are left out and the
reason is shown. Every process has one thread. First, the two networks are compared: same weights, same outputs, same
loss and gradients. Times are CPU seconds (user and system) in paired rounds; wall time stands beside them. Results go
to runs/race.json (schema: mmkeras/schemas/race.schema.json), files of the parts to runs/race.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, DependencyError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from tests.race.network_race import ROUNDS, race_inference, race_steps
from tests.race.public_tables import ARCHIVES, race_tables
from tests.race.table_race import EPOCHS, race_ludwig, race_seeds
from tests.race.tables import show

__all__ = ["PARTS", "main"]

PARTS = ("step", "inference", "seeds", "ludwig", "tables")
_RECORDED = {"step": "race.step", "inference": "race.inference", "ludwig": "race.ludwig"}


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write runs/race.json; return 0, or 2 where something could not be measured."""
    parser = argparse.ArgumentParser("python -m tests.race", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="paired rounds (%(default)s)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of the trainings")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of Ludwig (%(default)s)")
    parser.add_argument("--rows", type=int, help="rows of each split for Ludwig and mmkeras (default: all)")
    parser.add_argument("--archives", type=Path, default=ARCHIVES, help="folder of the public tables (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the numbers to docs/results.json")
    parser.add_argument("--folder", type=Path, default=Path("runs/race"), help="files of the parts (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/race.json"), help="where to write (%(default)s)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console = Console()
    left_out = {}
    try:
        _check(given)
        given.folder.mkdir(parents=True, exist_ok=True)
        results = _kept(given.out)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "step": lambda: race_steps(given.folder, given.rounds, console),
            "inference": lambda: race_inference(given.folder, given.rounds, console),
            "seeds": lambda: race_seeds(given.folder, given.seeds, console),
            "ludwig": lambda: race_ludwig(given.folder, given.epochs, given.rows, console),
            "tables": lambda: race_tables(given.folder, given.archives, console),
        }
        for name in (part for part in PARTS if part in given.only):
            try:
                results[name] = parts[name]()
            except DependencyError as reason:
                left_out[name] = str(reason)
                console.print(f"{name}: left out. {reason}", style="yellow", markup=False, highlight=False)
                continue
            _write(given.out, results)
            show(name, results[name], console)
            if given.record and name in _RECORDED:
                _record(_RECORDED[name], results[name], name)
            if given.record and name == "tables":
                for table, found in results[name].items():
                    _record(f"race.{table}", {"value": found["difference"]}, name)
    except MmkerasError as error:
        print_error(error)
        return 2
    if len(left_out) < len(given.only):
        console.print(f"written to {given.out}", markup=False)
    return 0


def _check(given: argparse.Namespace) -> None:
    if given.rounds < 3:
        raise ConfigError(f"--rounds: expected at least 3, got {given.rounds}")
    full = given.rounds >= ROUNDS and given.epochs == EPOCHS and given.rows is None
    if given.record and not full:
        raise ConfigError(f"--record needs at least {ROUNDS} rounds, {EPOCHS} epochs of Ludwig and all rows")


def _kept(path: Path) -> dict[str, Any]:
    """Return the results of other parts, measured before."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{path}: expected the JSON of an earlier race: {error}. Delete it") from error
    return {name: kept[name] for name in PARTS if name in kept}


def _write(path: Path, results: dict[str, Any]) -> None:
    from mmkeras.training.environment import machine, package_versions

    write_json(path, {"schema_version": 1, **results, "machine": {**machine(), "packages": package_versions()}})


def _record(name: str, result: dict[str, Any], part: str) -> None:
    from pipelines._stages.results import record

    ends = {end: result[end] for end in ("low", "high")} if "low" in result else {}
    record(name, result["value"], **ends, command=f"python -m tests.race --only {part} --record")


if __name__ == "__main__":
    sys.exit(main())
