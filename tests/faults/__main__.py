"""Kills, full disks, damaged shards, and whether anything leaks (make faults).

    python -m tests.faults                     # 20 kills, every other fault, flatness; goes on where it stopped
    python -m tests.faults --kills 100 --seed 1 --fresh
    python -m tests.faults --only kills --kinds packing conversion

    kills    kill -9 at a random moment of a stage, and the same command again: are the artefacts as if undisturbed?
    others   full and read-only disks, damaged shards, a clock that jumps, two at once, a loss that is no number
    flat     memory and descriptors over 2,000 steps in 200 epochs, and over 10,000 predictions of each runner

Every stage is a process. Results go to runs/faults.json (schema: mmkeras/schemas/faults.schema.json); what failed stays
in runs/faults, with the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.text import Text

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from tests.faults.account import Account
from tests.faults.flat import RUNNERS, predictions, training
from tests.faults.kills import kill, shared_out, undisturbed
from tests.faults.others import FAULTS, judge
from tests.faults.stages import CONFIG, STAGES, finish, keep_code
from tests.faults.table import show

__all__ = ["figures", "main"]

_PARTS = ("kills", "others", "flat")
_WATCHED = ("training", *RUNNERS)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Make the faults, print the tables, write the JSON; return 0, 1 where one was not survived, 2 for an error."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=list(_PARTS), help="what to do")
    parser.add_argument("--kinds", nargs="+", choices=list(STAGES), default=list(STAGES), help="stages to kill")
    parser.add_argument("--kills", type=int, default=20, help="kills, shared out over the kinds (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument(
        "--moment", type=float, help="kill so many seconds after the first write, in place of random moments"
    )
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS), help="other faults to make")
    parser.add_argument("--watch", nargs="+", choices=_WATCHED, default=list(_WATCHED), help="processes to watch")
    parser.add_argument("--steps", type=int, default=2000, help="training steps that are watched (%(default)s)")
    parser.add_argument("--epochs", type=int, default=200, help="epochs that they make (%(default)s)")
    parser.add_argument("--predictions", type=int, default=10_000, help="predictions that are watched (%(default)s)")
    parser.add_argument("--work", type=Path, default=Path("runs/faults"), help="where it happens (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/faults.json"), help="where to write (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="start anew in place of going on")
    parser.add_argument("--record", action="store_true", help="write the numbers into docs/results.json")
    given = parser.parse_args(arguments)
    # Artefacts are read with TensorFlow here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    work = given.work.resolve()
    try:
        _check_record(given)
        account = Account.open(work)
        if not keep_code(work):
            said = "The checkout has changed since this began; it goes on with the programs as they were. New: --fresh"
            console.print(said, style="yellow", soft_wrap=True)
        _undisturbed(given, work, account, console)
        if "kills" in given.only:
            _kills(given, work, account, console)
        if "others" in given.only:
            _others(given, work, account, console)
        if "flat" in given.only:
            _flat(given, work, account, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        console.print("\nInterrupted. The same command goes on with what is done.")
        return 130
    results = account.results(given.seed, None if given.moment is not None else given.kinds)
    write_json(given.out, results)
    survived = show(results, console)
    console.print(f"written to {given.out}")
    if given.record:
        from pipelines._stages.results import Origin, record

        # The programs are those of the commit at which this began.
        origin = replace(Origin.here(), commit=results["machine"]["code_revision"])
        for name, value in figures(results).items():
            record(name, value, origin=origin)
    return 0 if survived else 1


def figures(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of docs/results.json that runs/faults.json gives, by name."""
    kills = results["kills"]
    failed = {(each["kind"], each["number"]) for each in kills["failed"]}
    grown = [each["rss_end"] / each["rss_start"] - 1 for each in results["flat"]["processes"]]
    return {
        "faults.identical": 100 * (kills["tried"] - len(failed)) / kills["tried"],
        "faults.others": sum(each["verdict"] == "failed" for each in results["others"]),
        "faults.growth": 100 * max(0.0, *grown),
    }


def _check_record(given: argparse.Namespace) -> None:
    """Refuse ``--record`` for less than what the numbers stand for."""
    given_parts = (given.only, given.kinds, given.faults, given.watch)
    every = given_parts == (list(_PARTS), list(STAGES), list(FAULTS), list(_WATCHED))
    long = given.kills >= 20 and given.steps >= 2000 and given.epochs >= 200 and given.predictions >= 10_000
    if given.record and not (every and long and given.moment is None):
        raise ConfigError(
            "--record: the numbers stand for 20 kills, every fault and every process; leave out the options"
        )


def _undisturbed(given: argparse.Namespace, work: Path, account: Account, console: Console) -> None:
    """Run what is killed, and what that reads, with nobody disturbing it."""
    base = work / "base"
    wanted = list(STAGES)
    if given.only == ["kills"]:
        # Each stage reads what those before it wrote; conversion stands alone.
        last = max(wanted.index(kind) for kind in given.kinds)
        wanted = [kind for kind in wanted[: last + 1] if kind in given.kinds or (last and kind != "conversion")]
    if not (base / CONFIG.name).exists():
        base.mkdir(parents=True, exist_ok=True)
        shutil.copy(CONFIG, base)
    if not (base / "data").is_dir() and wanted != ["conversion"]:
        finish(base, ("tests.faults.conversion", "--config", CONFIG.name), "data.log")
    for kind in wanted:
        if kind not in account.whole:
            console.print(f"undisturbed: {kind}", style="dim", highlight=False)
            account.note_whole(kind, undisturbed(base, STAGES[kind]))


def _kills(given: argparse.Namespace, work: Path, account: Account, console: Console) -> None:
    plan = shared_out(given.kills, given.kinds)
    for position, (kind, number) in enumerate(plan, 1):
        if given.moment is None and account.has_kill(given.seed, kind, number):
            continue
        with console.status(f"kill {position} of {len(plan)}: {kind}"):
            done = kill(work, STAGES[kind], account.whole[kind], number, given.seed, given.moment)
        account.note_kill(given.seed, done)
        wrong = ", ".join((*done.different, *done.left))[:300]
        said = f"kill {position}/{len(plan)}  {kind}, {done.moment:.2f} s after its first write: "
        console.print(Text.assemble(said, (wrong, "red") if wrong else ("identical", "green")))


def _others(given: argparse.Namespace, work: Path, account: Account, console: Console) -> None:
    for position, name in enumerate(given.faults, 1):
        if account.has_fault(name):
            continue
        with console.status(f"fault {position} of {len(given.faults)}: {name}"):
            done = judge(name, work, account.whole)
        account.note_fault(done)
        colour = {"passed": "green", "failed": "red", "skipped": "yellow"}[done.verdict]
        console.print(Text.assemble(f"fault {position}/{len(given.faults)}  {name}: ", (done.verdict, colour)))
        if done.verdict != "passed":
            console.print(f"  {done.said}", markup=False, highlight=False)


def _flat(given: argparse.Namespace, work: Path, account: Account, console: Console) -> None:
    with console.status("") as status:

        def shown(text: str) -> None:
            status.update(text)

        watched: dict[str, Any] = {"training": partial(training, work, given.steps, given.epochs, shown)}
        for name in RUNNERS:
            watched[name] = partial(predictions, work, name, given.predictions, shown)
        for name in given.watch:
            if account.has_flat(name):
                continue
            done = watched[name]()
            account.note_flat(done)
            console.print(f"flat  {name}: {asdict(done)}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
