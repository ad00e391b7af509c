"""Finds the files that a run refers to, from any working directory and after the run was moved.

Relative paths in a run's config.toml start from the folder that the run was started in. place.json has that folder and
the run's folder at that time. No other file has absolute paths.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmkeras.core.command_line import read_toml
from mmkeras.core.components import Choice, find
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.storage.files import write_json

if TYPE_CHECKING:
    from mmkeras.data.index import Index

__all__ = ["Moved", "find_data", "keep_place", "placed", "relative"]

ConfigT = TypeVar("ConfigT")

_PLACE = "place.json"


def keep_place(folder: Path, started_in: Path | None = None) -> None:
    """Write place.json to a run's folder; the run was started in the working directory if no other is given."""
    write_json(folder / _PLACE, {"started_in": str(started_in or Path.cwd()), "folder": str(folder.resolve())})


def relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, for a file in that folder."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


@dataclass(frozen=True)
class Moved:
    """A run's folder then and now; all paths are absolute."""

    started_in: Path
    """The working directory in which the run was started."""
    then: Path
    """The run's folder at that time."""
    now: Path
    """The run's folder."""

    @classmethod
    def of(cls, folder: Path) -> Moved:
        """Read place.json; a run without it counts as not moved."""
        now = folder.resolve()
        try:
            kept = json.loads((now / _PLACE).read_text("utf-8"))
            return cls(Path(kept["started_in"]), Path(kept["folder"]), now)
        except (OSError, ValueError, LookupError, TypeError):
            return cls(_start_of(now), now, now)

    @property
    def starts(self) -> Path:
        """The folder where the relative paths of the configuration start now."""
        return next((each for each in self._mapped(self.started_in) if each.is_dir()), self.started_in)

    def candidates(self, path: str | Path) -> Iterator[Path]:
        """Yield the possible places of a path from a file in the run's folder, the likeliest first."""
        seen = set()
        for start in (self.now, self.then, self.started_in, Path.cwd()):
            for each in self._mapped(Path(os.path.normpath(start / path))):
                if each not in seen:
                    seen.add(each)
                    yield each

    def place(self, path: str, *, written: bool = False) -> str:
        """Return the present place of a path of the configuration; a path that is ``written`` need not exist.

        The path may also be a name, such as that of a preset.
        """
        if not path or (self.started_in == Path.cwd() and self.then == self.now):
            return path
        places = list(self._mapped(Path(os.path.normpath(self.started_in / Path(path).expanduser()))))
        if written:
            return str(places[0])
        for each in places:
            if each.exists():
                return str(each)
        return str(places[-1]) if os.sep in path or Path(path).suffix else path

    def _mapped(self, path: Path) -> Iterator[Path]:
        """Yield the place of an absolute path if it was moved together with the run, and the path itself."""
        if path.is_relative_to(self.then):
            yield self.now / path.relative_to(self.then)
        elif self.then != self.now:
            then, now = list(self.then.parts), list(self.now.parts)
            while then and now and then[-1] == now[-1]:
                then.pop()
                now.pop()
            if len(then) > 1 and path.is_relative_to(Path(*then)):
                yield Path(*now) / path.relative_to(Path(*then))
        yield path


def placed(config: ConfigT, folder: Path) -> ConfigT:
    """Return the configuration of the run in a folder with the present places of its paths."""
    result: ConfigT = _placed(config, Moved.of(folder))
    return result


def find_data(folder: Path, provenance: dict[str, Any]) -> Index:
    """Return the converted data that a run was trained on, also after both were moved.

    ``provenance`` is the content of the run's run.json.

    Raises:
        DataError: the data is missing or damaged, or other data is in its place.
    """
    from mmkeras.data.index import INDEX_FILE, Index

    recorded, fingerprint = str(provenance["data_folder"]), provenance["data_fingerprint"]
    problems, places = [], list(Moved.of(folder).candidates(recorded))
    for place in places:
        if not (place / INDEX_FILE).is_file():
            continue
        place = Path(os.path.relpath(place)) if place.is_relative_to(Path.cwd()) else place
        index = Index.load(place)
        if index.fingerprint == fingerprint:
            return index
        problems.append(
            f"{place}: has other data (fingerprint {index.fingerprint}) than the run was trained on ({fingerprint}). "
            "Convert it again with the run's config.toml."
        )
    raise DataError(
        "\n".join(problems)
        or f"{os.path.relpath(folder)}: the data that the run was trained on is missing. Expected it in one of "
        f"{', '.join(map(str, places))}. Put it back, write its folder into data_folder of the run's run.json, or "
        "convert it again with the run's config.toml."
    )


def _placed(value: Any, moved: Moved) -> Any:
    changes = {}
    reads, writes = getattr(value, "reads", ()), getattr(value, "writes", ())
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        if field.name in reads or field.name in writes:
            new: Any = moved.place(old, written=field.name in writes)
        elif isinstance(value, DataConfig) and field.name == "source":
            new = _source(old, moved)
        elif dataclasses.is_dataclass(old) and not isinstance(old, Choice):
            new = _placed(old, moved)
        else:
            continue
        if new != old:
            changes[field.name] = new
    return dataclasses.replace(value, **changes) if changes else value


def _source(source: Choice, moved: Moved) -> Choice:
    reads = find("data.sources", source.name).Source.reads
    given = {name: value for name, value in source.options.items() if name in reads and isinstance(value, str)}
    return Choice(source.name, {**source.options, **{name: moved.place(value) for name, value in given.items()}})


def _start_of(folder: Path) -> Path:
    """Return the folder that a run without place.json was started in: the parent of its ``runs``."""
    try:
        content = read_toml(folder / "config.toml")
        tail = Path(content["runs"], content["name"], folder.name).parts
    except (ConfigError, LookupError, TypeError):
        return Path.cwd()
    return Path(*folder.parts[: -len(tail)]) if folder.parts[-len(tail) :] == tail else Path.cwd()
