"""Thirty tables as people have them: names, kinds and quirks of columns, with what they should be taken for.

    python -m tests.data.columns.layouts             # how many columns are inferred rightly
    python -m tests.data.columns.layouts --record    # and write fit.kinds into docs/results.json

The layouts follow public tables (Titanic, Adult, PetFinder, MIMIC-CXR and others); every cell is generated.
"""

from __future__ import annotations

import argparse
import datetime
import string
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.data.columns import kind_of_column
from mmkeras.data.columns.roles import roles_of, target_of
from pipelines._stages.numbers import number
from pipelines._stages.results import record

__all__ = ["LAYOUTS", "Layout", "main", "score"]

ROWS = 200
Make = Callable[[np.random.Generator, Path], list[Any]]


@dataclass(frozen=True)
class Layout:
    """A table."""

    name: str
    """What it is like."""
    target: str
    """Column to predict."""
    task: str
    """What it asks for."""
    columns: dict[str, tuple[Make, str, str]]
    """By column: how its cells are made, its kind, its role."""


def _whole(low: int, high: int) -> Make:
    return lambda rng, _: [str(value) for value in rng.integers(low, high, ROWS)]


def _real(mean: float, spread: float, digits: int = 3) -> Make:
    return lambda rng, _: [f"{value:.{digits}f}" for value in rng.normal(mean, spread, ROWS)]


def _one_of(*names: str) -> Make:
    return lambda rng, _: [str(name) for name in rng.choice(names, ROWS)]


def _counting(first: int = 0) -> Make:
    return lambda rng, _: [str(first + row) for row in range(ROWS)]


def _gaps(make: Make, share: float = 0.2, nothing: str = "") -> Make:
    return lambda rng, folder: [nothing if rng.random() < share else cell for cell in make(rng, folder)]


def _words(low: int, high: int, vocabulary: int = 400) -> Make:
    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del folder
        known = ["".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 9))) for _ in range(vocabulary)]
        return [" ".join(rng.choice(known, rng.integers(low, high))) for _ in range(ROWS)]

    return made


def _files(pattern: str, exist: bool = True) -> Make:
    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del rng
        names = [pattern.format(row) for row in range(ROWS)]
        for name in names if exist else ():
            path = folder / name.replace("\\", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return names

    return made


def _dates(written: str, step: int = 13, time: bool = False) -> Make:
    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del folder
        first = np.datetime64("2019-01-05T10:30:00") + rng.integers(0, 9)
        moments = [first + np.timedelta64(step * row * (25 if time else 24), "h") for row in range(ROWS)]
        return [moment.astype(datetime.datetime).strftime(written) for moment in moments]

    return made


def _ids() -> Make:
    return lambda rng, _: [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(ROWS)]


def _repeated(prefix: str, many: int) -> Make:
    return lambda rng, _: [f"{prefix}{value:03d}" for value in np.sort(rng.integers(0, many, ROWS))]


def _tags(separator: str, *names: str) -> Make:
    return lambda rng, _: [separator.join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(ROWS)]


def _vectors(length: int) -> Make:
    return lambda rng, _: [rng.normal(size=length).round(3).tolist() for _ in range(ROWS)]


SEX = _one_of("male", "female")
CLASSES = _one_of("cat", "dog", "rabbit")
IN, OUT, TARGET = "input", "unused", "target"
LAYOUTS = (
    Layout(
        "titanic",
        "Survived",
        "classification",
        {
            "PassengerId": (_counting(1), "identifier", "key"),
            "Survived": (_one_of("0", "1"), "yes_no", TARGET),
            "Pclass": (_one_of("1", "2", "3"), "category", IN),
            "Name": (_words(3, 6), "text", IN),
            "Sex": (SEX, "category", IN),
            "Age": (_gaps(_real(30, 12, 1)), "number", IN),
            "SibSp": (_whole(0, 6), "number", IN),
            "Fare": (_real(32, 9), "number", IN),
            "Embarked": (_gaps(_one_of("S", "C", "Q"), 0.02), "category", IN),
        },
    ),
    Layout(
        "adult",
        "income",
        "classification",
        {
            "age": (_whole(17, 90), "number", IN),
            "workclass": (_gaps(_one_of("Private", "State-gov", "?"), 0), "category", IN),
            "fnlwgt": (_whole(10000, 900000), "number", IN),
            "education": (_one_of("HS-grad", "Masters", "11th"), "category", IN),
            "hours-per-week": (_whole(1, 99), "number", IN),
            "income": (_one_of("<=50K", ">50K"), "category", TARGET),
        },
    ),
    Layout(
        "petfinder",
        "AdoptionSpeed",
        "classification",
        {
            "PetID": (_ids(), "identifier", "key"),
            "Images": (_files("img/{}.jpg"), "picture", IN),
            "Description": (_words(8, 60), "text", IN),
            "Age": (_whole(0, 200), "number", IN),
            "State": (_one_of("41326", "41401", "41330"), "number", IN),
            "Fee": (_whole(0, 500), "number", IN),
            "AdoptionSpeed": (_one_of("0", "1", "2", "3", "4"), "number", TARGET),
        },
    ),
    Layout(
        "easy vqa",
        "answer",
        "classification",
        {
            "question": (_words(4, 9, 30), "text", IN),
            "image": (_files("images/{}.png"), "picture", IN),
            "answer": (_one_of("circle", "red", "yes", "no"), "category", TARGET),
            "split": (_one_of("train", "train", "val", "test"), "category", "split"),
        },
    ),
    Layout(
        "chest x-rays",
        "finding",
        "classification",
        {
            "patientid": (_repeated("", 60), "identifier", "group"),
            "age": (_gaps(_whole(20, 90)), "number", IN),
            "sex": (_gaps(_one_of("M", "F"), 0.1), "category", IN),
            "view": (_one_of("PA", "AP", "L"), "category", IN),
            "date": (_dates("%B %d, %Y"), "date", IN),
            "filename": (_files("{:04d}.png"), "picture", IN),
            "clinical_notes": (_gaps(_words(10, 80), 0.3), "text", IN),
            "finding": (_one_of("COVID-19", "Pneumonia", "No Finding"), "category", TARGET),
        },
    ),
    Layout(
        "dicom series",
        "label",
        "classification",
        {
            "StudyInstanceUID": (_repeated("1.2.840.", 50), "identifier", OUT),
            "path": (_files("ct/{}.dcm"), "dicom", IN),
            "label": (_one_of("0", "1"), "yes_no", TARGET),
        },
    ),
    Layout(
        "real estate",
        "price",
        "regression",
        {
            "id": (_counting(7129300), "identifier", "key"),
            "date": (_dates("%Y-%m-%dT%H:%M:%S"), "date", IN),
            "price": (_whole(75000, 990000), "number", TARGET),
            "bedrooms": (_whole(0, 9), "number", IN),
            "sqft_living": (_whole(300, 9000), "number", IN),
            "waterfront": (_one_of("0", "1"), "yes_no", IN),
            "zipcode": (_one_of("98178", "98125", "98028"), "category", IN),
            "lat": (_real(47.5, 0.1, 4), "number", IN),
        },
    ),
    Layout(
        "movie posters",
        "genres",
        "multilabel",
        {
            "title": (_words(1, 5), "text", IN),
            "poster": (_files("posters/{}.webp"), "picture", IN),
            "plot": (_words(20, 90), "text", IN),
            "genres": (_tags("|", "Drama", "Comedy", "Action"), "category", TARGET),
        },
    ),
    Layout(
        "bike rental",
        "cnt",
        "regression",
        {
            "instant": (_counting(1), "identifier", "key"),
            "dteday": (_dates("%Y-%m-%d"), "date", IN),
            "season": (_one_of("1", "2", "3", "4"), "number", IN),
            "holiday": (_one_of("0", "1"), "yes_no", IN),
            "temp": (_real(0.5, 0.1), "number", IN),
            "cnt": (_whole(1, 977), "number", TARGET),
        },
    ),
    Layout(
        "german bank",
        "Kredit",
        "classification",
        {
            "Kundennummer": (_counting(1000), "identifier", "key"),
            "Beginn": (_dates("%d.%m.%Y"), "date", IN),
            "Beruf": (_one_of("Lehrer", "Ärztin", "Bäcker"), "category", IN),
            "Eigentum": (_one_of("ja", "nein"), "yes_no", IN),
            "PLZ": (_one_of("01067", "80331", "20095"), "category", IN),
            "Kredit": (_one_of("gut", "schlecht"), "category", TARGET),
        },
    ),
    Layout(
        "english dates",
        "sold",
        "classification",
        {
            "listed": (_dates("%d/%m/%Y"), "date", IN),
            "closed": (_gaps(_dates("%m/%d/%Y"), 0.3), "date", IN),
            "sold": (_one_of("TRUE", "FALSE"), "yes_no", TARGET),
        },
    ),
    Layout(
        "sensors",
        "fault",
        "classification",
        {
            "timestamp": (_dates("%Y-%m-%d %H:%M:%S", 1, True), "date", IN),
            "signal": (_vectors(64), "series", OUT),
            "speed": (_real(60, 10), "number", IN),
            "machine_type": (_one_of("1", "2", "7"), "category", IN),
            "fault": (_one_of("none", "bearing", "belt"), "category", TARGET),
        },
    ),
    Layout(
        "waveform files",
        "rhythm",
        "classification",
        {
            "ecg_id": (_counting(1), "identifier", "key"),
            "wave": (_files("w/{}.npy"), "series", OUT),
            "rhythm": (_one_of("SR", "AFIB"), "category", TARGET),
        },
    ),
    Layout(
        "spectra as text",
        "origin",
        "classification",
        {
            "spectrum": (
                lambda rng, _: [" ".join(f"{v:.2f}" for v in rng.normal(size=12)) for _ in range(ROWS)],
                "series",
                OUT,
            ),
            "origin": (_one_of("north", "south"), "category", TARGET),
        },
    ),
    Layout(
        "clips",
        "fight",
        "classification",
        {
            "clip": (_files("v/{}.mp4"), "clip", OUT),
            "source_video": (_repeated("v", 40), "category", "group"),
            "fight": (_one_of("yes", "no"), "yes_no", TARGET),
        },
    ),
    Layout(
        "two pictures in a cell",
        "same",
        "classification",
        {
            "pair": (lambda rng, f: [f"a/{r}.png;b/{r}.png" for r in range(ROWS)], "pictures", OUT),
            "same": (_one_of("Y", "N"), "yes_no", TARGET),
        },
    ),
    Layout(
        "pandas index",
        "label",
        "classification",
        {
            "Unnamed: 0": (_counting(), "identifier", "key"),
            "text": (_words(5, 30), "text", IN),
            "label": (CLASSES, "category", TARGET),
        },
    ),
    Layout(
        "tweets",
        "sentiment",
        "classification",
        {
            "tweet_id": (_counting(570306133677760513), "identifier", "key"),
            "airline": (_one_of("United", "Delta"), "category", IN),
            "retweet_count": (_whole(0, 40), "number", IN),
            "text": (_words(4, 25), "text", IN),
            "sentiment": (_one_of("negative", "neutral", "positive"), "category", TARGET),
        },
    ),
    Layout(
        "missing words",
        "y",
        "regression",
        {
            "a": (_gaps(_real(1, 2), 0.3, "NA"), "number", IN),
            "b": (_gaps(_whole(0, 99), 0.3, "N/A"), "number", IN),
            "c": (_gaps(_real(0, 1), 0.2, "?"), "number", IN),
            "y": (_real(5, 2), "number", TARGET),
        },
    ),
    Layout(
        "constants",
        "y",
        "classification",
        {
            "version": (_one_of("1.0"), "constant", OUT),
            "comment": (_one_of(""), "empty", OUT),
            "x": (_real(0, 1), "number", IN),
            "y": (_one_of("a", "b"), "category", TARGET),
        },
    ),
    Layout(
        "traffic signs",
        "ClassId",
        "classification",
        {
            "Path": (_files("Train/{}.ppm"), "picture", IN),
            "Width": (_whole(25, 243), "number", IN),
            "Height": (_whole(25, 243), "number", IN),
            "ClassId": (_whole(0, 20), "category", TARGET),
        },
    ),
    Layout(
        "weighted survey",
        "vote",
        "classification",
        {
            "respondent": (_counting(1), "identifier", "key"),
            "weight": (_real(1, 0.1), "number", "weight"),
            "state": (_one_of("Ohio", "Texas", "Utah"), "category", IN),
            "vote": (_one_of("A", "B"), "category", TARGET),
        },
    ),
    Layout(
        "products",
        "category",
        "classification",
        {
            "sku": (lambda rng, _: [f"SKU-{v:06d}" for v in rng.permutation(ROWS)], "identifier", "key"),
            "name": (_words(2, 7), "text", IN),
            "brand": (_one_of("Acme", "Bolt", "Cord"), "category", IN),
            "price": (_real(20, 3, 2), "number", IN),
            "in stock": (_one_of("true", "false"), "yes_no", IN),
            "category": (CLASSES, "category", TARGET),
        },
    ),
    Layout(
        "windows paths",
        "label",
        "classification",
        {"file": (_files("pics\\{}.bmp"), "picture", IN), "label": (CLASSES, "category", TARGET)},
    ),
    Layout(
        "radiology report",
        "abnormal",
        "classification",
        {
            "study_id": (_repeated("s", 90), "identifier", OUT),
            "subject_id": (_repeated("p", 40), "identifier", "group"),
            "impression": (_words(6, 40), "text", IN),
            "history": (_gaps(_words(4, 12), 0.4), "text", IN),
            "ViewPosition": (_one_of("PA", "LATERAL"), "category", IN),
            "abnormal": (_one_of("1", "0"), "yes_no", TARGET),
        },
    ),
    Layout(
        "insurance",
        "charges",
        "regression",
        {
            "age": (_whole(18, 65), "number", IN),
            "sex": (SEX, "category", IN),
            "bmi": (_real(30, 6, 2), "number", IN),
            "smoker": (_one_of("yes", "no"), "yes_no", IN),
            "region": (_one_of("southwest", "northeast"), "category", IN),
            "charges": (_real(13000, 900, 4), "number", TARGET),
        },
    ),
    Layout(
        "chinese table",
        "标签",
        "classification",
        {
            "日期": (_dates("%Y%m%d"), "date", IN),
            "城市": (_one_of("北京", "上海", "广州"), "category", IN),
            "是否会员": (_one_of("是", "否"), "yes_no", IN),
            "价格": (_real(99, 9, 2), "number", IN),
            "标签": (_one_of("好", "坏"), "category", TARGET),
        },
    ),
    Layout(
        "typed cells",
        "ok",
        "classification",
        {
            "when": (
                lambda rng, _: [np.datetime64("2020-01-01") + np.timedelta64(r, "D") for r in range(ROWS)],
                "date",
                IN,
            ),
            "value": (lambda rng, _: rng.normal(size=ROWS).tolist(), "number", IN),
            "flag": (lambda rng, _: [bool(v) for v in rng.integers(0, 2, ROWS)], "yes_no", IN),
            "views": (lambda rng, _: [[f"{r}a.jpg", f"{r}b.jpg"] for r in range(ROWS)], "pictures", OUT),
            "ok": (lambda rng, _: [bool(v) for v in rng.integers(0, 2, ROWS)], "yes_no", TARGET),
        },
    ),
    Layout(
        "tags",
        "tags",
        "multilabel",
        {
            "picture": (_files("{}.gif"), "picture", IN),
            "tags": (_tags("; ", "sea", "sun", "boat", "dog"), "category", TARGET),
        },
    ),
    Layout(
        "files that are not here",
        "label",
        "classification",
        {
            "scan": (_files("missing/{}.tif", False), "picture", IN),
            "operator": (_one_of("JD", "KL", "MM"), "category", IN),
            "label": (CLASSES, "category", TARGET),
        },
    ),
)
"""The tables."""


def score(layout: Layout) -> Iterator[tuple[str, str, str]]:
    """Infer a table's columns and yield each one's name, what was expected and what was found."""
    rng = np.random.default_rng(len(layout.name))
    with tempfile.TemporaryDirectory() as folder:
        cells = {name: make(rng, Path(folder)) for name, (make, _, _) in layout.columns.items()}
        kinds = {name: kind_of_column(name, each, Path(folder)) for name, each in cells.items()}
    roles = roles_of(kinds, cells, [layout.target])
    for name, (_, kind, role) in layout.columns.items():
        if role == TARGET:
            yield name, layout.task, target_of(name, cells[name]).task
        else:
            yield name, f"{kind}, {role}", f"{kinds[name].name}, {roles[name].name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is inferred wrongly and the share that is right; return 0, 1 below the bar."""
    parser = argparse.ArgumentParser("python -m tests.data.columns.layouts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--record", action="store_true", help="write fit.kinds into docs/results.json")
    given = parser.parse_args(arguments)
    found = [(layout.name, *each) for layout in LAYOUTS for each in score(layout)]
    right = sum(expected == got for _, _, expected, got in found)
    for table, name, expected, got in found:
        if expected != got:
            print(f"{table}: {name}: expected {expected}, got {got}")
    share = 100 * right / len(found)
    print(f"{right} of {len(found)} columns of {len(LAYOUTS)} tables: {share:.1f} %")
    if given.record:
        record("fit.kinds", share)
    return 0 if share >= number("fit.kinds").bar else 1


if __name__ == "__main__":
    sys.exit(main())
