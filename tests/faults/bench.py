"""Where a fault is made, and how the answer to it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.artefacts import digests, leftovers
from tests.faults.kills import Undisturbed
from tests.faults.stages import Stage, finish, place

__all__ = ["Bench", "Unmet", "check", "line_with", "message"]


class Unmet(Exception):
    """The fault was not answered as it should be."""


@dataclass(frozen=True)
class Bench:
    """Where a fault is made."""

    folder: Path
    """Of this fault alone."""
    base: Path
    """The undisturbed artefacts."""
    whole: dict[str, Undisturbed]
    """What they are, by stage."""
    stages: Mapping[str, Stage]
    """What runs, by name."""

    def place(self, kind: str) -> Stage:
        """Make the folder with what a stage needs, and return the stage."""
        place(self.folder, self.base, self.stages[kind])
        return self.stages[kind]

    def refused(self, command: tuple[str, ...], *expected: str) -> str:
        """Run a command that must end with a message of ours; return the line with the first expected text.

        Raises:
            Unmet: it ended otherwise, or the message lacks one of the texts.
        """
        status, output = finish(self.folder, command, "log.txt")
        return message(status, output, *expected)

    def accepted(self, command: tuple[str, ...]) -> str:
        """Run a command that must end well; return what it printed.

        Raises:
            Unmet: it did not.
        """
        status, output = finish(self.folder, command, "log.txt")
        # The tiny bundle may miss a gate of accuracy: status 1.
        check(status in (0, 1), f"without the fault it ended with status {status}: {output[-300:]}")
        return output

    def same(self, stage: Stage) -> None:
        """Hold a stage's artefacts to the undisturbed ones.

        Raises:
            Unmet: one differs, or something is left half-written.
        """
        found = {f"{n}/{key}": value for n in stage.outputs for key, value in digests(self.folder / n).items()}
        whole = self.whole[stage.name].digests
        different = [name for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]
        different += [f"{n}/{each} is left" for n in stage.outputs for each in leftovers(self.folder / n)]
        check(not different, f"not as undisturbed: {', '.join(different[:5])}")


def check(holds: bool, otherwise: str) -> None:
    """Raise `Unmet` with a text where something does not hold."""
    if not holds:
        raise Unmet(otherwise)


def message(status: int, output: str, *expected: str) -> str:
    """Judge how a command ended: status 1 or 2, a message of ours with every expected text, and no traceback.

    Raises:
        Unmet: it ended otherwise.
    """
    check(status in (1, 2), f"expected status 2, got {status}: {output[-300:]}")
    check("Traceback" not in output, f"a foreign exception: {output[-300:]}")
    joined = " ".join(output.split())
    for part in expected:
        check(part in joined, f"expected {part!r} in: {joined[-400:]}")
    return line_with(output, expected[0])


def line_with(output: str, part: str) -> str:
    """Return the line of an output that holds a text, or its end."""
    lines = [" ".join(line.split()) for line in output.splitlines() if part in line]
    return lines[0][:300] if lines else " ".join(output.split())[-300:]
