"""All readers, each with its share of the inputs: counted, kept on disk, gone on with after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.storage.files import write_bytes, write_json
from tests.fuzz.process import Death, ReadingProcess
from tests.fuzz.reader import FAMILY, Reader
from tests.fuzz.sample import Sample

__all__ = ["Counts", "Plan", "run", "shared_out"]

_BLOCK = 200
"""Inputs between two notes of the progress."""
_ROUND = 25_000
"""Inputs of all readers together before the first one comes again."""
_KINDS = {"foreign": "foreign_exceptions", "memory": "over_memory", "crash": "crashes", "hang": "hangs"}


@dataclass
class Counts:
    """What became of one reader's inputs."""

    inputs: int = 0
    read: int = 0
    """Taken although damaged: what was changed does not matter, or makes another valid file."""
    refused: int = 0
    """Answered by an error of mmkeras."""
    foreign_exceptions: int = 0
    crashes: int = 0
    hangs: int = 0
    over_memory: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What is asked for. Progress is kept for the same plan on the same code alone."""

    inputs: int
    seed: int
    seconds: float
    """That one input may take."""
    memory: int
    """MiB that one input may take."""
    code: str
    """Revision of the code."""


def shared_out(readers: Mapping[str, Reader], inputs: int) -> dict[str, int]:
    """Return the inputs of every reader, in proportion to their shares: so many together, or a few more."""
    whole = sum(reader.share for reader in readers.values())
    return {
        name: max(1, -(-int(inputs * reader.share * 1000) // int(whole * 1000))) for name, reader in readers.items()
    }


def run(
    readers: Mapping[str, Reader],
    plan: Plan,
    out: Path,
    scratch: Path,
    step: Callable[[str, Counts], None] = lambda name, counts: None,
    family: str = FAMILY,
) -> dict[str, Counts]:
    """Fuzz the readers and return their counts.

    Args:
        readers: by name.
        plan: how many, and within which limits.
        out: folder for the progress and for the inputs that failed.
        scratch: folder for the files, on a fast disk.
        step: called when a reader has gone on.
        family: package of the readers.
    """
    note = out / "progress.json"
    done = _earlier(note, plan)
    with ReadingProcess(scratch, plan.seconds, plan.memory, family) as process:
        for name, until in _turns(shared_out(readers, plan.inputs)):
            counts = done.setdefault(name, Counts())
            step(name, counts)
            while counts.inputs < until:
                _go_on(process, readers[name], plan, counts, min(_BLOCK, until - counts.inputs), out, scratch)
                write_json(note, {"plan": asdict(plan), "readers": {n: asdict(c) for n, c in done.items()}})
                step(name, counts)
    note.unlink(missing_ok=True)
    return {name: done[name] for name in readers}


def _turns(wanted: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield readers, each with the inputs that it shall have had then: a long run comes to all of them early."""
    rounds = max(1, sum(wanted.values()) // _ROUND)
    for number in range(1, rounds + 1):
        for name, count in wanted.items():
            yield name, -(-count * number // rounds)


def _go_on(
    process: ReadingProcess, reader: Reader, plan: Plan, counts: Counts, size: int, out: Path, scratch: Path
) -> None:
    first = counts.inputs
    answer = process.block(reader.name, plan.seed, first, size)
    if isinstance(answer, Death):
        # What came before it in the block is read again, without it.
        if answer.number > first:
            again = process.block(reader.name, plan.seed, first, answer.number - first)
            if isinstance(again, Death):
                answer = again
            else:
                _count(reader, plan, counts, answer.number - first, again, out, scratch)
        counts.inputs = answer.number + 1
        name = _KINDS[answer.kind]
        setattr(counts, name, getattr(counts, name) + 1)
        counts.failures.append(_kept(reader, plan, answer.number, answer.kind, answer.said, out, scratch))
        return
    _count(reader, plan, counts, size, answer, out, scratch)


def _count(
    reader: Reader, plan: Plan, counts: Counts, size: int, answer: dict[str, Any], out: Path, scratch: Path
) -> None:
    counts.inputs += size
    counts.read += answer["read"]
    counts.refused += answer["refused"]
    counts.foreign_exceptions += answer["foreign"]
    counts.over_memory += answer["memory"]
    counts.seconds = round(counts.seconds + answer["seconds"], 3)
    counts.slowest_seconds = round(max(counts.slowest_seconds, answer["slowest"]), 3)
    for failure in answer["failures"]:
        kept = _kept(reader, plan, failure["number"], failure["kind"], failure["said"], out, scratch)
        counts.failures.append(kept)


def _kept(reader: Reader, plan: Plan, number: int, kind: str, said: str, out: Path, scratch: Path) -> dict[str, Any]:
    """Write an input that failed, and return what is told of it."""
    folder = out / "failures" / f"{reader.name}-{plan.seed}-{number}"
    for name, content in Sample(reader, scratch / f"kept-{reader.name}").damage(plan.seed, number).items():
        write_bytes(folder / "files" / name, content)
    told = {
        "reader": reader.name,
        "number": number,
        "kind": _KINDS[kind],
        "said": said,
        "replay": f"python -m tests.fuzz --replay {folder}",
    }
    write_json(folder / "failure.json", told)
    return told


def _earlier(note: Path, plan: Plan) -> dict[str, Counts]:
    """Return the counts of an interrupted run of the same plan."""
    try:
        value = json.loads(note.read_text("utf-8"))
        if value["plan"] == asdict(plan):
            return {name: Counts(**counts) for name, counts in value["readers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {}
