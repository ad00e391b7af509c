"""Reads what the command line declares of inputs: ``--map``, ``--input``, ``--missing``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.foreign.picture import declared_fields
from mmkeras.core.command_line import read_toml
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.modalities import ModalitySpec, spec_from_json

__all__ = ["Declared", "parse_declared", "parse_map", "parse_missing"]


@dataclass(frozen=True)
class Declared:
    """The declarations of one side."""

    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `PictureSpec` by input."""
    modalities: dict[str, ModalitySpec] = field(default_factory=dict)
    """Specs of this project's modalities (a text with its vocabulary) by name; a picture's is in ``pictures`` too."""

    def under(self, other: Declared) -> Declared:
        """Return these declarations with those of one side over them."""
        pictures = {
            name: self.pictures.get(name, {}) | other.pictures.get(name, {})
            for name in {**self.pictures, **other.pictures}
        }
        return Declared(pictures, self.modalities | other.modalities)


def parse_declared(option: str, given: Sequence[str]) -> Declared:
    """Return what ``NAME=SPEC`` declares; SPEC is a TOML or JSON file, or ``key=value,key=value``.

    Raises:
        ConfigError: another form, a file that cannot be read, or a spec that is none.
    """
    found = Declared()
    for text in given:
        name, _, spec = text.partition("=")
        if not name or not spec:
            raise ConfigError(
                f"{option}: expected NAME=SPEC, as in image=scale=-1..1,colours=bgr or image=spec.toml, got {text!r}"
            )
        where = f"{option} {name}"
        if "=" in spec and not Path(spec).is_file():
            parts = [part.partition("=") for part in spec.split(",")]
            values: dict[str, Any] = {key.strip(): value.strip() for key, _, value in parts}
            folder = Path()
        else:
            values, folder = _read(Path(spec), where), Path(spec).parent
        if values.get("kind", "image") == "image":
            found.pictures[name] = found.pictures.get(name, {}) | _fields(values, where)
        if "kind" not in values:
            continue
        try:
            found.modalities[name] = spec_from_json({"name": name, **values}, folder)
        except MmkerasError as error:
            raise ConfigError(f"{where}: {error}") from error
        except (TypeError, ValueError, KeyError, OSError) as error:
            raise ConfigError(f"{where}: is no spec of a modality: {type(error).__name__}: {error}") from error
    return found


def _fields(values: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        return declared_fields(values, where)
    except KeyError as error:
        raise ConfigError(
            f"{where}: the spec of an image has no key {error}; expected height, width and resize"
        ) from error


def _read(path: Path, where: str) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{where}: {path} is neither a file nor key=value,key=value")
    if path.suffix.lower() == ".toml":
        return read_toml(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: {path}: expected an object, got {type(value).__name__}")
    return value


def parse_map(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return columns by input from ``INPUT=COLUMN``, or ``INPUT=COLUMN,COLUMN`` for an input of several numbers.

    Raises:
        ConfigError: another form, or an input that occurs twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, columns = text.partition("=")
        names = tuple(column for column in columns.split(",") if column)
        if not name or not names or name in found:
            raise ConfigError(f"--map: expected INPUT=COLUMN once for each input, got {text!r}")
        found[name] = names
    return found


def parse_missing(given: Sequence[str]) -> dict[str, float]:
    """Return the value that fills a missing input by input, from ``INPUT`` (0) or ``INPUT=VALUE``.

    Raises:
        ConfigError: a value that is no number.
    """
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value or 0)
        except ValueError:
            raise ConfigError(f"--missing {text}: expected a number after =, got {value!r}") from None
    return found
