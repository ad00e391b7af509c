"""``mmkeras index`` and ``mmkeras search``: an index of pictures or texts, and the search in it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.core.terminal import plain, say, say_json
from mmkeras.media.cells import tidy
from mmkeras.runtime.grid import Grid
from mmkeras.runtime.shelf.nearest import Nearest
from mmkeras.runtime.shelf.rerank import reranked
from mmkeras.runtime.shelf.sheet import contact_sheet
from mmkeras.runtime.shelf.shelf import PRECISIONS, Shelf
from mmkeras.runtime.shelf.towers import Tower, identity, modalities_of

__all__ = ["add_index_options", "add_search_options", "index", "search"]

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
"""Endings of the pictures in a folder."""


def add_index_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras index`` to a parser."""
    add = parser.add_argument
    add("pictures", nargs="*", metavar="PICTURES", help="files, and folders with pictures")
    add("--out", required=True, metavar="FILE", help="the index, such as shelf.idx")
    add("--add", action="store_true", help="add to an index that exists; an entry that is there is computed anew")
    add("--remove", nargs="+", default=[], metavar="ENTRY", help="remove entries of an index that exists")
    add("--labels", nargs="+", default=[], metavar="TEXT", help="index texts: a picture is then searched among them")
    add("--template", default="{}", metavar="TEXT", help='a sentence for each label, such as "a photo of {}"')
    add("--vectors", choices=PRECISIONS, default="float32", help="numbers in the file; int8 takes a quarter")


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras search`` to a parser."""
    add = parser.add_argument
    add("index", metavar="INDEX", help="a file that mmkeras index wrote")
    add("query", nargs="?", metavar="TEXT", help='what to look for, such as "two dogs on grass"')
    add("--picture", metavar="FILE", help="look for what fits a picture, in place of a text")
    add("--top", type=int, default=5, metavar="N", help="answers (default: 5)")
    add("--rerank", type=int, default=0, metavar="N", help="judge the first N again by the model's head for pairs")
    add("--sheet", metavar="FILE", help="write the answers as one picture (PNG)")


def index(bundle: Bundle, options: argparse.Namespace) -> int:
    """Write an index. The status is 1 if a picture could not be read; it is named and left out."""
    path = Path(options.out)
    changes = options.add or options.remove
    if path.exists() and not changes:
        raise ConfigError(f"{path} exists: --add adds to it and --remove removes from it; delete it for a new one")
    if options.pictures and options.labels:
        raise ConfigError("index: expected pictures or --labels, got both; an index holds entries of one kind")
    if not (options.pictures or options.labels or options.remove):
        raise ConfigError("index: expected pictures, folders or --labels, got none")
    if options.template.count("{}") != 1:
        raise ConfigError(f"--template: expected one {{}} for the label, got {options.template!r}")
    modality = _kind(bundle, "text" if options.labels else "image")
    shelf = _checked(Shelf.load(path), bundle, path) if changes and path.exists() else None
    if shelf is not None and (options.pictures or options.labels) and shelf.modality != modality:
        raise ConfigError(f"{path} holds {shelf.modality}, not {modality}; name another file for these")
    if options.remove:
        if shelf is None:
            raise ConfigError(f"{path}: no such index to remove from")
        if unknown := [entry for entry in options.remove if entry not in shelf.entries]:
            raise ConfigError(f"{path} has no entry {plain(unknown[0])!r}")
        shelf = shelf.without(options.remove)
    failures: list[str] = []

    def failed(name: str, problem: str) -> None:
        failures.append(name)
        say(f"mmkeras: left out: {plain(name)}: {problem}", to=sys.stderr)

    if options.pictures or options.labels:
        given = (
            [(label, options.template.replace("{}", label)) for label in options.labels]
            if options.labels
            else [(name, name) for name in _pictures(options.pictures)]
        )
        with Tower(bundle, modality, _file(options)) as tower:
            say(tower.description, to=sys.stderr)
            names, vectors = tower.vectors(given, failed)
        if not names:
            raise DataError("index: no entry could be read, so no index is written")
        if shelf is None:
            shown = {"template": options.template} if options.labels else {}
            shelf = Shelf(modality, identity(bundle), (), vectors[:0], options.vectors, shown)
        shelf = shelf.with_entries(names, vectors)
    assert shelf is not None
    shelf.save(path)
    size = path.stat().st_size / 2**20
    say(f"{path}: {len(shelf.entries):,} entries ({shelf.modality}), {size:.1f} MiB, {len(failures)} left out")
    return 1 if failures else 0


def search(bundle: Bundle, options: argparse.Namespace) -> int:
    """Search an index by a text or a picture, and print the answers."""
    if (options.query is None) == (options.picture is None):
        raise ConfigError("search: expected a text or --picture, one of them")
    if options.top < 1 or options.rerank < 0:
        raise ConfigError(
            f"search: expected --top of 1 or more and --rerank of 0 or more, got {options.top} and {options.rerank}"
        )
    path = Path(options.index)
    shelf = _checked(Shelf.load(path), bundle, path)
    if options.sheet and "template" in shelf.shown:
        raise ConfigError(f"--sheet: {path} holds texts, not pictures")
    if options.sheet and not options.sheet.lower().endswith(".png"):
        raise ConfigError(f"--sheet {options.sheet}: expected a file that ends with .png")
    asked = _kind(bundle, "text" if options.picture is None else "image")
    value = tidy(options.query) if options.picture is None else options.picture
    with Tower(bundle, asked, _file(options)) as tower:
        say(tower.description, to=sys.stderr)
        query = tower.vector(value)
    if len(query) != shelf.vectors.shape[1]:
        raise DataError(f"{path}: vectors of {shelf.vectors.shape[1]} numbers, but the model's have {len(query)}")
    nearest = Nearest(shelf.vectors)
    began = time.perf_counter()
    places, scores = nearest.top(query, max(options.top, options.rerank))
    took = 1000 * (time.perf_counter() - began)
    answers: list[dict[str, Any]] = [
        {"entry": shelf.entries[place], "cosine": float(score)} for place, score in zip(places, scores, strict=True)
    ]
    if options.rerank:
        first = reranked(bundle, asked, value, shelf, answers[: options.rerank], _file(options))
        answers = first + answers[options.rerank :]
    answers = answers[: options.top]
    if options.sheet:
        contact_sheet(
            Path(options.sheet),
            str(options.query or options.picture),
            [(answer["entry"], answer.get("match", answer["cosine"])) for answer in answers],
        )
    if options.json:
        say_json({"index": str(path), "entries": len(shelf.entries), "search_ms": took, "answers": answers})
        return 0
    grid = Grid("", ("rank", "cosine", *(("match",) if options.rerank else ()), "entry"), right=("rank", "cosine"))
    for rank, answer in enumerate(answers, 1):
        match = (f"{answer['match']:.3f}" if "match" in answer else "",) if options.rerank else ()
        grid.add(str(rank), f"{answer['cosine']:.3f}", *match, answer["entry"])
    say(grid.text().rstrip())
    say(f"{len(shelf.entries):,} entries searched in {took:.2f} ms" + (f"; {options.sheet}" if options.sheet else ""))
    return 0


def _file(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("format", "precision", "threads", "device")}


def _kind(bundle: Bundle, kind: str) -> str:
    """Return the modality of a kind that the bundle, or the model that it is a tower of, gives vectors of."""
    for name in modalities_of(bundle):
        if bundle.specs[name].kind == kind:
            return name
    raise ConfigError(f"{bundle.place}: it has no tower of the kind {kind}; it has {', '.join(modalities_of(bundle))}")


def _checked(shelf: Shelf, bundle: Bundle, path: Path) -> Shelf:
    """Return the shelf if the model of the bundle made its vectors; vectors of others cannot be compared.

    Raises:
        ConfigError: another model made it.
    """
    own = identity(bundle)
    if dict(shelf.model) != own:
        made, this = (f"{each['name']} {each['version']} ({each['created']})" for each in (shelf.model, own))
        raise ConfigError(
            f"{path}: its vectors are of the model {made}, not of {this}, and cannot be compared. Make an index with "
            "this model"
        )
    return shelf


def _pictures(given: list[str]) -> Iterator[str]:
    """Yield files as they are given, and the pictures in folders in order of their names."""
    for name in given:
        if not Path(name).is_dir():
            yield name
            continue
        for folder, _, files in sorted(os.walk(name)):
            yield from (str(Path(folder, file)) for file in sorted(files) if file.lower().endswith(PICTURES))
