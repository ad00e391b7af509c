"""The index file and the exact search; comparing everything is the oracle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.runtime.shelf import nearest
from mmkeras.runtime.shelf.nearest import Nearest
from mmkeras.runtime.shelf.sheet import contact_sheet
from mmkeras.runtime.shelf.shelf import Shelf
from mmkeras.tasks.matching.recall import unit

MODEL = {"name": "toy", "version": 1, "created": "2026-01-01"}


def _shelf(count: int = 20, precision: str = "float32") -> Shelf:
    vectors = unit(np.random.default_rng(0).normal(size=(count, 12)))
    return Shelf("image", MODEL, tuple(f"{n}.png" for n in range(count)), vectors, precision)


@pytest.mark.parametrize("structured", [True, False])
def test_the_search_is_that_of_comparing_everything(structured: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nearest, "_FEW", 100)
    rng = np.random.default_rng(1)
    # As towers give them: most of a vector is in few directions. Then vectors without any structure.
    scale = 0.9 ** np.arange(96) if structured else np.ones(96)
    turn = np.linalg.qr(rng.normal(size=(96, 96)))[0]
    vectors, queries = (unit(rng.normal(size=(n, 96)) * scale @ turn) for n in (3000, 40))
    vectors[[7, 9]] = vectors[5]
    found = Nearest(vectors)
    fewer = []
    for query in (*queries, vectors[5]):
        places, scores = found.top(query, 5)
        every = (vectors @ query).astype(np.float64)
        np.testing.assert_allclose(scores, np.sort(every)[::-1][:5], atol=1e-6)
        np.testing.assert_allclose(every[places], scores, atol=1e-6)
        candidates = found.candidates(query, 5)
        fewer.append(3000 if candidates is None else len(candidates))
    assert places[:3].tolist() == [5, 7, 9]
    assert (np.mean(fewer) < 600) == structured


def test_a_search_among_few_and_for_more_than_there_are():
    found = Nearest(unit(np.eye(3)))
    places, scores = found.top(np.array([0.0, 1.0, 0.0]), 10)
    assert (places.tolist(), scores.tolist()) == ([1, 0, 2], [1.0, 0.0, 0.0])
    assert len(Nearest(np.empty((0, 3))).top(np.zeros(3), 5)[0]) == 0


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_holds_what_was_saved(precision: str, tmp_path: Path):
    shelf = _shelf(precision=precision)
    shelf.save(tmp_path / "a.idx")
    read = Shelf.load(tmp_path / "a.idx")
    assert (read.entries, read.model, read.modality) == (shelf.entries, MODEL, "image")
    close = 0 if precision == "float32" else 0.02
    np.testing.assert_allclose(read.vectors, shelf.vectors, atol=close)
    assert np.abs((read.vectors * shelf.vectors).sum(1) - 1).max() < 1e-3


def test_int8_takes_a_quarter(tmp_path: Path):
    sizes = []
    for precision in ("float32", "int8"):
        shelf = dataclasses.replace(_shelf(precision=precision), vectors=np.repeat(_shelf().vectors, 20, axis=1))
        shelf.save(tmp_path / precision)
        sizes.append((tmp_path / precision).stat().st_size)
    assert sizes[1] < 0.3 * sizes[0]


def test_entries_are_added_replaced_and_removed():
    shelf, one = _shelf(3), np.eye(12)[:2]
    more = shelf.with_entries(["1.png", "new.png"], one)
    assert more.entries == ("0.png", "2.png", "1.png", "new.png")
    np.testing.assert_array_equal(more.vectors[2:], one)
    fewer = more.without(["2.png", "unknown"])
    assert fewer.entries == ("0.png", "1.png", "new.png")
    np.testing.assert_array_equal(fewer.vectors[0], shelf.vectors[0])


@pytest.mark.parametrize("place", [12, 60, -700, -40, -1])
def test_an_altered_file_is_refused(place: int, tmp_path: Path):
    path = tmp_path / "a.idx"
    _shelf().save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"a\.idx: its checksum does not fit"):
        Shelf.load(path)


def test_a_cut_file_and_other_files_are_refused(tmp_path: Path):
    path = tmp_path / "a.idx"
    _shelf().save(path)
    whole = path.read_bytes()
    for size in (20, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="checksum"):
            Shelf.load(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="expected an index"):
        Shelf.load(path)
    with pytest.raises(DataError, match="cannot be read"):
        Shelf.load(tmp_path / "missing.idx")


def test_a_contact_sheet_shows_the_pictures_in_order(tmp_path: Path):
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (300, 150), colour).save(tmp_path / name)
    answers = [(str(tmp_path / name), score) for name, score in (("b.png", 0.9), ("a.png", 0.5), ("gone.png", 0.1))]
    contact_sheet(tmp_path / "sheet.png", "two dogs", answers)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.getpixel((8 + 96, 36 + 96)) == (0, 0, 255)
        assert sheet.getpixel((8 + 200 + 96, 36 + 96)) == (255, 0, 0)
        assert sheet.getpixel((8 + 400 + 96, 36 + 10)) == (211, 211, 211)
