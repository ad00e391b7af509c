"""Damages a packed bundle in random ways and counts what its reader does: it must refuse every one.

    python -m export.fuzz_bundle vqa-1.mmk --tries 10000

Writes ``runs/bundle_fuzz.json`` with ``tried``, ``refused``, ``unnamed`` (refused without a member's name),
``accepted`` and ``crashed`` (any other exception), by kind of damage too. The seed makes it repeatable.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmkeras.bundle.archive import Archive
from mmkeras.core.errors import ArchiveError, MmkerasError
from mmkeras.core.terminal import say, show_progress, utf8_program
from mmkeras.storage.files import write_json

__all__ = ["DAMAGES", "fuzz", "main"]

_SHOWN = 5


def _flip(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content[chance.choice(places)] ^= 1 << chance.randrange(8)


def _cut(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    del content[chance.choice(places) :]


def _insert(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    content[place:place] = chance.randbytes(chance.randint(1, 64))


def _delete(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    del content[place : place + chance.randint(1, 64)]


def _overwrite(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    content[place : place + 16] = chance.randbytes(len(content[place : place + 16]))


def _copy(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    source, place, length = chance.choice(places), chance.choice(places), chance.randint(1, 256)
    content[place : place + length] = content[source : source + length]


def _append(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content += chance.randbytes(chance.randint(1, 64))


def _prepend(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content[:0] = chance.randbytes(chance.randint(1, 64))


DAMAGES: dict[str, Callable[[bytearray, Sequence[int], random.Random], None]] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "delete": _delete,
    "overwrite": _overwrite,
    "copy": _copy,
    "append": _append,
    "prepend": _prepend,
}
"""Ways to damage a file, by name: each changes the content at one of the given places."""


def fuzz(path: Path, tries: int, seed: int = 0, step: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Damage a packed bundle and return the counts.

    Args:
        path: an undamaged packed bundle.
        tries: damaged copies to open.
        seed: of the damages.
        step: called with the number of tries so far, now and then.

    Raises:
        ArchiveError: the bundle is damaged to begin with.
    """
    archive = Archive.open(path)
    names = {"sha256.json", "signature.json", *archive.members}
    # Half of the damages go where the structure is: headers, names, the list and the directory.
    whole = path.read_bytes()
    inside = {place for m in archive.members.values() for place in range(m.header, m.offset)}
    first = min(member.header for member in archive.members.values())
    last = max(member.offset + member.size for member in archive.members.values())
    structure = sorted({*range(first), *inside, *range(last, len(whole))})
    archive.close()
    chance = random.Random(seed)
    kinds: dict[str, Counter[str]] = {name: Counter() for name in DAMAGES}
    examples: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mmkeras-fuzz-") as folder:
        target = Path(folder) / path.name
        for number in range(tries):
            kind = chance.choice(list(DAMAGES))
            content = bytearray(whole)
            while content == whole:
                DAMAGES[kind](content, structure if chance.random() < 0.5 else range(len(whole)), chance)
            target.write_bytes(content)
            outcome, said = _outcome(target, names)
            kinds[kind][outcome] += 1
            if outcome != "refused" and len(examples) < _SHOWN:
                examples.append(f"try {number}, {kind}: {outcome}: {said}")
            if number % 100 == 0:
                step(number)
    total: Counter[str] = sum(kinds.values(), Counter())
    return {
        "schema_version": 1,
        "bundle": path.name,
        "bytes": len(whole),
        "seed": seed,
        "tried": tries,
        **{name: total[name] for name in ("refused", "unnamed", "accepted", "crashed")},
        "kinds": {kind: dict(counts) for kind, counts in kinds.items()},
        "examples": examples,
    }


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz a bundle, write the counts and return 0, 1 when one was accepted or crashed, or 2 for an error."""
    parser = argparse.ArgumentParser(
        "python -m export.fuzz_bundle", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("bundle", type=Path, metavar="FILE.mmk", help="an undamaged packed bundle")
    parser.add_argument("--tries", type=int, default=10_000, help="damaged copies to open (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/bundle_fuzz.json"), help="(%(default)s)")
    given = parser.parse_args(arguments)
    began = time.monotonic()

    def step(done: int) -> None:
        show_progress(f"{done:,} of {given.tries:,}")

    try:
        value = fuzz(given.bundle, given.tries, given.seed, step)
    except (MmkerasError, OSError) as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    write_json(given.out, value)
    counts = ", ".join(f"{name} {value[name]:,}" for name in ("tried", "refused", "unnamed", "accepted", "crashed"))
    say(f"{counts} in {time.monotonic() - began:.0f} s; written to {given.out}")
    for example in value["examples"]:
        say(example)
    return 1 if value["accepted"] or value["crashed"] else 0


def _outcome(path: Path, names: set[str]) -> tuple[str, str]:
    try:
        Archive.open(path).close()
    except ArchiveError as error:
        said = str(error)
        named = "member" in said or any(f"{name}:" in said for name in names)
        return ("refused" if named else "unnamed"), said
    except Exception as error:  # whatever else comes out is what this program looks for
        return "crashed", repr(error)
    return "accepted", ""


if __name__ == "__main__":
    sys.exit(main())
