"""What has been done so far, kept after every step, so that a stopped measurement goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_json
from tests.faults.flat import LARGEST_GROWTH, Flat
from tests.faults.kills import Kill, Undisturbed
from tests.faults.others import Verdict

__all__ = ["Account"]


@dataclass(frozen=True)
class Account:
    """The account of a measurement, a JSON file in its folder."""

    path: Path
    """The file."""
    content: dict[str, Any]
    """Its content."""

    @classmethod
    def open(cls, work: Path) -> Account:
        """Read the account of a folder, or begin one.

        Raises:
            TrainingError: it cannot be read.
        """
        path = work / "account.json"
        from mmkeras.training.environment import code_revision

        content: dict[str, Any] = {"code": code_revision(), "whole": {}, "kills": {}, "others": {}, "flat": {}}
        if path.exists():
            try:
                content |= json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise TrainingError(f"{path}: is not valid JSON ({error}). Start anew with --fresh") from None
        return cls(path, content)

    @property
    def whole(self) -> dict[str, Undisturbed]:
        """The undisturbed stages so far."""
        return {kind: Undisturbed(**each) for kind, each in self.content["whole"].items()}

    def note_whole(self, kind: str, done: Undisturbed) -> None:
        """Keep an undisturbed stage."""
        self._note("whole", kind, asdict(done))

    def has_kill(self, seed: int, kind: str, number: int) -> bool:
        """Return whether a kill was made and survived; one that failed is made again."""
        found = self.content["kills"].get(f"{seed}/{kind}/{number}")
        return found is not None and found["identical"] and not found["left"]

    def note_kill(self, seed: int, done: Kill) -> None:
        """Keep a kill."""
        self._note("kills", f"{seed}/{done.kind}/{done.number}", asdict(done))

    def has_fault(self, name: str) -> bool:
        """Return whether a fault was made and answered as it should be."""
        return bool(self.content["others"].get(name, {}).get("verdict") == "passed")

    def note_fault(self, done: Verdict) -> None:
        """Keep the verdict on a fault."""
        self._note("others", done.fault, asdict(done))

    def has_flat(self, name: str) -> bool:
        """Return whether a process was watched."""
        return name in self.content["flat"]

    def note_flat(self, done: Flat) -> None:
        """Keep what was seen of a process."""
        self._note("flat", done.what, {**asdict(done), "flat": done.flat})

    def results(self, seed: int, kinds: Sequence[str] | None) -> dict[str, Any]:
        """Return what runs/faults.json holds.

        Args:
            seed: whose kills count.
            kinds: which of them; all when not given.
        """
        from mmkeras.training.environment import machine, package_versions

        kills = [
            each
            for key, each in self.content["kills"].items()
            if key.startswith(f"{seed}/") and (kinds is None or each["kind"] in kinds)
        ]
        return {
            "schema_version": 1,
            "seed": seed,
            "kills": {
                **_counted(kills),
                "bar": 20,
                "goal": 100,
                "kinds": {
                    kind: _counted([k for k in kills if k["kind"] == kind])
                    for kind in sorted({k["kind"] for k in kills})
                },
                "failed": [each for each in kills if not each["identical"] or each["left"]],
            },
            "others": list(self.content["others"].values()),
            "flat": {"largest_growth": LARGEST_GROWTH, "processes": list(self.content["flat"].values())},
            "machine": {**machine(), "packages": package_versions(), "code_revision": self.content["code"]},
        }

    def _note(self, part: str, key: str, value: dict[str, Any]) -> None:
        self.content[part][key] = value
        write_json(self.path, self.content)


def _counted(kills: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {
        "tried": len(kills),
        "identical": sum(each["identical"] for each in kills),
        "left_half_written": sum(bool(each["left"]) for each in kills),
    }
