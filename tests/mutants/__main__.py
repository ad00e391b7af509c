"""Plants faults in exports, bundles, preprocessing and devices, and counts what is caught (make mutants).

    python -m tests.mutants                            # every kind, and 30 honest exports; goes on where it stopped
    python -m tests.mutants --subject measurements     # in a model of a row and a series, not of picture and question
    python -m tests.mutants --kinds labels-rolled temperature --precisions int8 --honest 0
    python -m tests.mutants --list                     # the kinds
    python -m tests.mutants --record                   # and write the numbers into docs/results.json

A mutant is a fault in one file (or in one bundle). It is caught where the export refuses the file with the fault in
it, or where the self-test of the honest export fails with the faulty file in its place. Faults that only a bundle or a
device can have are shown to the self-test alone. A mutant whose outputs differ by at most 1e-5 from those of the file
without the fault, on every sample in every scenario, is equivalent and does not count; nothing else is left out.

Results go to runs/mutants.json (schema: mmkeras/schemas/mutants.schema.json).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import MmkerasError
from mmkeras.storage.files import write_json
from tests.mutants import worker
from tests.mutants.account import Account, Settings
from tests.mutants.kind import Variant
from tests.mutants.kinds import every_kind, variants
from tests.mutants.models import SNAPSHOTS
from tests.mutants.subject import SUBJECTS
from tests.mutants.summary import show, summarise

__all__ = ["main"]

_FORMATS = ("saved_model", "tflite", "onnx")
_PRECISIONS = ("float32", "float16", "int8-dynamic", "int8-weights", "int8")
Task = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""Name, function of `worker`, its arguments after the settings."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the faults, print the table, write the JSON; return 0, 1 below a bar, 2 for an error."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console()
    if given.list:
        for kind in every_kind():
            console.print(f"{kind.place:7} {kind.name:30} {len(kind.variants):2}  {kind.what}")
        return 0
    ending = "" if given.subject == "reading" else f"-{given.subject}"
    given.work, given.out = given.work or Path(f"runs/mutants{ending}"), given.out or Path(f"runs/mutants{ending}.json")
    work = given.work.resolve()
    if given.fresh:
        shutil.rmtree(work, ignore_errors=True)
    settings = Settings(
        str(work), tuple(given.formats), tuple(given.precisions), given.samples, given.seed, given.subject
    )
    chosen = variants(tuple(given.kinds), given.subject)
    names = [f"seed-{seed}-{index}" for index in range(SNAPSHOTS) for seed in worker.SEEDS][: given.honest]
    try:
        account = Account(settings)
        _prepare(settings, account, chosen, names, given.processes, console)
        exports: list[Task] = [(f"export {name}", worker.run_export, (name,)) for name in names]
        plants: list[Task] = [(v.name, worker.run_variant, (v.kind.name, v.variant, v.kind.place)) for v in chosen]
        _run_all("faults", plants, settings, account, given.processes, console)
        _run_all("honest exports", exports, settings, account, given.processes, console)
    except (MmkerasError, RuntimeError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        console.print("\nInterrupted. The same command goes on with what is done.")
        return 130
    from mmkeras.training.environment import code_revision, machine, package_versions

    mutants = [mutant for v in chosen for mutant in account.get(v.name) or []]
    honest = [result for name in names if (result := account.get(f"export {name}"))]
    where = {**machine(), "packages": package_versions(), "code_revision": code_revision()}
    results = summarise(settings, mutants, honest, where)
    write_json(given.out, results)
    show(results, console)
    console.print(f"written to {given.out}", highlight=False)
    if given.record:
        _record(results, "mutants" if given.subject == "reading" else f"mutants.{given.subject}", _command(given))
    good = all(
        results[part]["share"] is None or results[part]["share"] >= results[part]["bar"] for part in ("int8", "other")
    )
    return 0 if good and results["honest"]["refused"] <= results["honest"]["bar"] else 1


def _parser() -> argparse.ArgumentParser:
    names = sorted({kind.name for kind in every_kind()})
    parser = argparse.ArgumentParser("python -m tests.mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--kinds", nargs="+", choices=names, default=[], metavar="KIND", help="kinds to plant; see --list"
    )
    parser.add_argument("--subject", choices=SUBJECTS, default="reading", help="model to plant in (%(default)s)")
    parser.add_argument("--formats", nargs="+", choices=_FORMATS, default=list(_FORMATS), help="formats to plant in")
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=(*_PRECISIONS, "int8-full"),
        default=list(_PRECISIONS),
        help="precisions to plant in (all but int8-full, which the gate refuses for the unharmed model)",
    )
    parser.add_argument("--samples", type=int, default=500, help="test samples of a verification (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults (%(default)s)")
    parser.add_argument("--honest", type=int, default=30, help="exports without a fault (%(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="worker processes (%(default)s)")
    parser.add_argument("--work", type=Path, help="where it happens (runs/mutants)")
    parser.add_argument("--out", type=Path, help="where to write (runs/mutants.json)")
    parser.add_argument("--fresh", action="store_true", help="start anew in place of going on")
    parser.add_argument("--record", action="store_true", help="write the numbers into docs/results.json")
    parser.add_argument("--list", action="store_true", help="list the kinds and end")
    return parser


def _prepare(
    settings: Settings, account: Account, chosen: list[Variant], names: list[str], processes: int, console: Console
) -> None:
    """Train and export what the faults are planted in."""
    first: list[Task] = [("export subject", worker.run_export, ("subject",))]
    _run_all("subject", first, settings, account, 1, console)
    subject = account.get("export subject")
    if not subject or not subject["bundle"]:
        raise RuntimeError(f"The subject is not exported: {subject}")
    for file in subject["refused"]:
        console.print(f"not planted in: {file['format']} {file['precision']}: {file['reason']}")
    seeds = worker.SEEDS if names else worker.SEEDS[:1]
    tasks: list[Task] = [(f"train seed {s}", worker.run_training, (s, SNAPSHOTS)) for s in seeds]
    tasks += [(f"model {name}", worker.run_model, (name,)) for name in worker.models_needed(chosen)]
    _run_all("other models", tasks, settings, account, processes, console)
    other: Task = (f"export {worker.OTHER}", worker.run_export, (worker.OTHER,))
    _run_all("another training", [other], settings, account, 1, console)


def _run_all(
    title: str, tasks: list[Task], settings: Settings, account: Account, processes: int, console: Console
) -> None:
    """Run tasks that are not done yet in worker processes; one whose process dies is tried again alone."""
    waiting = [task for task in tasks if account.get(task[0]) is None]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(title, total=len(tasks), completed=len(tasks) - len(waiting))
        alone = False
        while waiting:
            batch = waiting[:1] if alone else waiting
            done = _run_some(batch, settings, account, 1 if alone else processes, lambda: progress.advance(bar))
            if alone and not done:
                name = batch[0][0]
                account.note(name, _died(batch[0]))
                progress.advance(bar)
                done = {name}
            alone = len(done) < len(batch)
            waiting = [task for task in waiting if task[0] not in done]


def _run_some(
    tasks: list[Task], settings: Settings, account: Account, processes: int, step: Callable[[], None]
) -> set[str]:
    """Run tasks until all are done or a process dies; return the names of those that are done."""
    done: set[str] = set()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=worker.prepare) as pool:
        try:
            futures: dict[Future[Any], str] = {pool.submit(call, settings, *rest): name for name, call, rest in tasks}
            left = set(futures)
            while left:
                finished, left = wait(left, return_when=FIRST_COMPLETED)
                for future in finished:
                    account.note(futures[future], future.result())
                    done.add(futures[future])
                    step()
        except BrokenProcessPool:
            return done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _died(task: Task) -> list[dict[str, Any]]:
    """Return the result of a fault that ends the process: nobody can overlook it."""
    name, call, rest = task
    if call is not worker.run_variant:
        raise RuntimeError(f"{name}: the worker process died.")
    kind, variant, place = rest
    died = {
        "gate": "refused",
        "gate_reason": "the process died",
        "selftest": "failed",
        "selftest_reason": "the process died",
    }
    known = {"equivalent": False, "difference": None, "flips": None, "drop": None}
    return [
        {"kind": kind, "variant": variant, "place": place, "format": "bundle", "precision": "bundle", **died, **known}
    ]


def _command(given: argparse.Namespace) -> str:
    """Return the command with the options that change its numbers; folders do not."""
    words = ["python", "-m", "tests.mutants"]
    for name in ("subject", "kinds", "formats", "precisions", "samples", "seed", "honest"):
        value = getattr(given, name)
        if value != _parser().get_default(name):
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join([*words, "--record"])


def _record(results: dict[str, Any], prefix: str, command: str) -> None:
    from pipelines._stages.results import record

    for name in ("int8", "other"):
        part = results[name]
        interval = {end: 100 * part[end] for end in ("low", "high")}
        record(f"{prefix}.{name}.caught", 100 * part["share"], **interval, command=command)
    honest = results["honest"]
    rate = {end: 100 * honest[end] for end in ("low", "high")}
    record(f"{prefix}.honest_refused", 100 * honest["refused"] / max(1, honest["exports"]), **rate, command=command)


if __name__ == "__main__":
    sys.exit(main())
