"""What is done so far: one JSON file per task, valid for the code and the settings that made it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmkeras.storage.files import write_json

__all__ = ["Account", "Settings", "code_digest"]

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What a result depends on beside the code."""

    work: str
    """Folder of everything that is made."""
    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    samples: int
    """Test samples of every verification."""
    seed: int
    """Of the faults."""
    subject: str = "reading"
    """What the faults are planted in."""
    rows: int = 4800
    """Of the subject's data."""
    epochs: int = 18
    """Of the subject's training."""


class Account:
    """Results by the name of their task, on disk."""

    def __init__(self, settings: Settings) -> None:
        """Remember where results are, and what they have to be valid for."""
        self._folder = Path(settings.work, "results")
        self._settings = json.loads(json.dumps(asdict(settings)))
        self._codes = {"": code_digest("tests/mutants"), "export": code_digest(), "model": code_digest(), "train": ""}

    def get(self, task: str) -> Any | None:
        """Return a result; None where there is none, or one of other code or settings."""
        path = self._path(task)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text("utf-8"))
        except ValueError:
            return None
        valid = self._valid(task)
        return content["result"] if {key: content.get(key) for key in valid} == valid else None

    def note(self, task: str, result: Any) -> None:
        """Keep a result."""
        write_json(self._path(task), {**self._valid(task), "task": task, "result": result})

    def _valid(self, task: str) -> dict[str, Any]:
        """Return what a result must have been made by. Faults depend on the code here, too; trainings on none."""
        return {"code": self._codes.get(task.split(" ")[0], self._codes[""]), "settings": self._settings}

    def _path(self, task: str) -> Path:
        plain = re.sub(r"[^a-z0-9]+", "-", task.lower())
        return self._folder / f"{plain}-{hashlib.sha256(task.encode()).hexdigest()[:8]}.json"


def code_digest(*more: str) -> str:
    """Return a hash of everything that converts and judges, and of more folders."""
    digest = hashlib.sha256()
    for folder in ("export", "mmkeras", *more):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            if not path.name.startswith("test_"):
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
