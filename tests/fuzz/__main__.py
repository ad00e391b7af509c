"""Fuzzes every reader of outside bytes: python -m tests.fuzz (make fuzz).

    python -m tests.fuzz                                    50,000 inputs, shared out among the readers
    python -m tests.fuzz --inputs 1000000 --seed 7          more, and others
    python -m tests.fuzz --readers pcd picture              some readers
    python -m tests.fuzz --record                           also write the failures into docs/results.json
    python -m tests.fuzz --replay runs/fuzz/failures/NAME   one input that failed, with its traceback
    python -m tests.fuzz --bundle vqa-1.mmk                 copies of a packed bundle, each of which must be refused

Each input is a valid file with something damaged, read in a process of its own with little memory and a limit of time.
It passes when it is read, or refused by an error of mmkeras. Counts go to runs/fuzz.json (schema:
mmkeras/schemas/fuzz.schema.json), inputs that failed to runs/fuzz/failures. Ctrl-C, then the same command goes on.
The counts of a bundle go to runs/bundle_fuzz.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from mmkeras.core.console import Console, DescriptionColumn, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from mmkeras.training.environment import code_revision
from tests.fuzz.campaign import Counts, Plan, run, shared_out
from tests.fuzz.packed import fuzz_bundle
from tests.fuzz.reader import find_readers
from tests.fuzz.replay import replay
from tests.fuzz.summary import describe, table

__all__ = ["main"]

_INPUTS, _COPIES = 50_000, 10_000
_FAILURES = ("foreign_exceptions", "crashes", "hangs", "over_memory")


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, print the table, write runs/fuzz.json; return 0, 1 when an input failed, 2 for an error, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--inputs",
        type=int,
        help=f"damaged files to read, all readers together ({_INPUTS}), or copies of a bundle ({_COPIES})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damages (%(default)s)")
    parser.add_argument("--readers", nargs="+", default=[], metavar="NAME", help="readers to fuzz; all when not given")
    parser.add_argument("--seconds", type=float, default=30.0, help="that one input may work or sleep (%(default)s)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB that one input may take (%(default)s)")
    parser.add_argument("--out", type=Path, help="where to write (runs/fuzz.json; of a bundle runs/bundle_fuzz.json)")
    parser.add_argument("--bundle", type=Path, metavar="FILE.mmk", help="fuzz an undamaged packed bundle instead")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="read one input that failed")
    parser.add_argument("--record", action="store_true", help="write the number of failures into docs/results.json")
    given = parser.parse_args(arguments)
    # Twelve columns: a file or a pipe has no width of its own.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    try:
        _check_record(given)
        if given.replay:
            return replay(given.replay, given.memory, console)
        if given.bundle:
            return _bundle(given, console)
        out, inputs = given.out or Path("runs/fuzz.json"), _INPUTS if given.inputs is None else max(given.inputs, 1)
        readers = find_readers(tuple(given.readers))
        plan = Plan(inputs, given.seed, given.seconds, given.memory, code_revision())
        wanted = shared_out(readers, plan.inputs)
        columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar, _fast_folder() as scratch:
            tasks = {name: bar.add_task(name, total=count) for name, count in wanted.items()}

            def step(name: str, counts: Counts) -> None:
                bar.update(tasks[name], completed=counts.inputs)

            counts = run(readers, plan, out.with_suffix(""), Path(scratch), step)
    except (MmkerasError, OSError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        console.print("\nInterrupted. The same command goes on with what is done.")
        return 130
    value = describe(plan, counts)
    write_json(out, value)
    console.print(table(counts))
    for failure in value["failures"][:20]:
        console.print(f"{failure['reader']} {failure['number']}, {failure['kind']}: {failure['said']}", markup=False)
        console.print(f"  {failure['replay']}", style="bold", markup=False, soft_wrap=True)
    console.print(f"Written to {out}", markup=False)
    if given.record:
        from pipelines._stages.results import record

        record("fuzz.failures", sum(value["totals"][name] for name in _FAILURES))
    return 1 if value["failures"] else 0


def _check_record(given: argparse.Namespace) -> None:
    """Refuse ``--record`` for fewer inputs or readers than those that the number stands for."""
    fewer = given.inputs is not None and given.inputs < _INPUTS
    if given.record and (fewer or given.readers or given.bundle or given.replay):
        raise ConfigError(
            f"--record: fuzz.failures counts {_INPUTS:,} inputs of all readers; leave out --inputs, --readers, "
            "--bundle and --replay"
        )


def _bundle(given: argparse.Namespace, console: Console) -> int:
    """Fuzz a packed bundle; return 0, or 1 when a copy was accepted or crashed its reader."""
    tries, out = _COPIES if given.inputs is None else given.inputs, given.out or Path("runs/bundle_fuzz.json")
    with Progress(
        DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(given.bundle.name, total=tries)
        value = fuzz_bundle(given.bundle, tries, given.seed, lambda done: bar.update(task, completed=done))
    write_json(out, value)
    counts = ", ".join(f"{name} {value[name]:,}" for name in ("tried", "refused", "unnamed", "accepted", "crashed"))
    console.print(f"{counts}; written to {out}", markup=False)
    for example in value["examples"]:
        console.print(example, markup=False)
    return 1 if value["accepted"] or value["crashed"] else 0


def _fast_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, in memory where the machine has such."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="mmkeras-fuzz-", dir=memory if memory.is_dir() else None)


if __name__ == "__main__":
    sys.exit(main())
