"""Damages a whole packed bundle and counts what its reader does: it must refuse every one, and name a member.

The other readers may read a damaged file whose damage does not show. Of a packed bundle every byte is vouched for.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmkeras.bundle.archive import Archive
from mmkeras.core.errors import ArchiveError
from tests.fuzz.damage.raw import DAMAGES

__all__ = ["fuzz_bundle"]

_SHOWN = 5


def fuzz_bundle(
    path: Path, tries: int, seed: int = 0, step: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Damage a packed bundle and return the counts.

    They are ``tried``, ``refused``, ``unnamed`` (refused without a member's name), ``accepted`` and ``crashed`` (any
    other exception), by kind of damage too. The seed makes them repeatable.

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
