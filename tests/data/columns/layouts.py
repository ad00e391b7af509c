"""Thirty tables as people have them: names, kinds and quirks of columns, with what they should be taken for.

    python -m tests.data.columns.layouts             # how many columns are inferred rightly
    python -m tests.data.columns.layouts --record    # and write fit.kinds into docs/results.json

The layouts follow public tables (Titanic, Adult, PetFinder, MIMIC-CXR and others); every cell is generated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.data.columns import kind_of_column
from mmkeras.data.columns.roles import roles_of, target_of
from pipelines._stages.numbers import number
from pipelines._stages.results import record
from tests.data.columns.makers import (
    ROWS,
    Make,
    counting,
    dates,
    files,
    gaps,
    ids,
    one_of,
    real,
    repeated,
    tags,
    vectors,
    whole,
    words,
)

__all__ = ["LAYOUTS", "Layout", "main", "score"]


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


SEX = one_of("male", "female")
CLASSES = one_of("cat", "dog", "rabbit")
IN, OUT, TARGET = "input", "unused", "target"
_TABLES: dict[tuple[str, str, str], dict[str, tuple[Make, str, str]]] = {
    ("titanic", "Survived", "classification"): {
        "PassengerId": (counting(1), "identifier", "key"),
        "Survived": (one_of("0", "1"), "yes_no", TARGET),
        "Pclass": (one_of("1", "2", "3"), "category", IN),
        "Name": (words(3, 6), "text", IN),
        "Sex": (SEX, "category", IN),
        "Age": (gaps(real(30, 12, 1)), "number", IN),
        "SibSp": (whole(0, 6), "number", IN),
        "Fare": (real(32, 9), "number", IN),
        "Embarked": (gaps(one_of("S", "C", "Q"), 0.02), "category", IN),
    },
    ("adult", "income", "classification"): {
        "age": (whole(17, 90), "number", IN),
        "workclass": (gaps(one_of("Private", "State-gov", "?"), 0), "category", IN),
        "fnlwgt": (whole(10000, 900000), "number", IN),
        "education": (one_of("HS-grad", "Masters", "11th"), "category", IN),
        "hours-per-week": (whole(1, 99), "number", IN),
        "income": (one_of("<=50K", ">50K"), "category", TARGET),
    },
    ("petfinder", "AdoptionSpeed", "classification"): {
        "PetID": (ids(), "identifier", "key"),
        "Images": (files("img/{}.jpg"), "picture", IN),
        "Description": (words(8, 60), "text", IN),
        "Age": (whole(0, 200), "number", IN),
        "State": (one_of("41326", "41401", "41330"), "number", IN),
        "Fee": (whole(0, 500), "number", IN),
        "AdoptionSpeed": (one_of("0", "1", "2", "3", "4"), "number", TARGET),
    },
    ("easy vqa", "answer", "classification"): {
        "question": (words(4, 9, 30), "text", IN),
        "image": (files("images/{}.png"), "picture", IN),
        "answer": (one_of("circle", "red", "yes", "no"), "category", TARGET),
        "split": (one_of("train", "train", "val", "test"), "category", "split"),
    },
    ("chest x-rays", "finding", "classification"): {
        "patientid": (repeated("", 60), "identifier", "group"),
        "age": (gaps(whole(20, 90)), "number", IN),
        "sex": (gaps(one_of("M", "F"), 0.1), "category", IN),
        "view": (one_of("PA", "AP", "L"), "category", IN),
        "date": (dates("%B %d, %Y"), "date", IN),
        "filename": (files("{:04d}.png"), "picture", IN),
        "clinical_notes": (gaps(words(10, 80), 0.3), "text", IN),
        "finding": (one_of("COVID-19", "Pneumonia", "No Finding"), "category", TARGET),
    },
    ("dicom series", "label", "classification"): {
        "StudyInstanceUID": (repeated("1.2.840.", 50), "identifier", OUT),
        "path": (files("ct/{}.dcm"), "dicom", IN),
        "label": (one_of("0", "1"), "yes_no", TARGET),
    },
    ("real estate", "price", "regression"): {
        "id": (counting(7129300), "identifier", "key"),
        "date": (dates("%Y-%m-%dT%H:%M:%S"), "date", IN),
        "price": (whole(75000, 990000), "number", TARGET),
        "bedrooms": (whole(0, 9), "number", IN),
        "sqft_living": (whole(300, 9000), "number", IN),
        "waterfront": (one_of("0", "1"), "yes_no", IN),
        "zipcode": (one_of("98178", "98125", "98028"), "category", IN),
        "lat": (real(47.5, 0.1, 4), "number", IN),
    },
    ("movie posters", "genres", "multilabel"): {
        "title": (words(1, 5), "text", IN),
        "poster": (files("posters/{}.webp"), "picture", IN),
        "plot": (words(20, 90), "text", IN),
        "genres": (tags("|", "Drama", "Comedy", "Action"), "category", TARGET),
    },
    ("bike rental", "cnt", "regression"): {
        "instant": (counting(1), "identifier", "key"),
        "dteday": (dates("%Y-%m-%d"), "date", IN),
        "season": (one_of("1", "2", "3", "4"), "number", IN),
        "holiday": (one_of("0", "1"), "yes_no", IN),
        "temp": (real(0.5, 0.1), "number", IN),
        "cnt": (whole(1, 977), "number", TARGET),
    },
    ("german bank", "Kredit", "classification"): {
        "Kundennummer": (counting(1000), "identifier", "key"),
        "Beginn": (dates("%d.%m.%Y"), "date", IN),
        "Beruf": (one_of("Lehrer", "Ärztin", "Bäcker"), "category", IN),
        "Eigentum": (one_of("ja", "nein"), "yes_no", IN),
        "PLZ": (one_of("01067", "80331", "20095"), "category", IN),
        "Kredit": (one_of("gut", "schlecht"), "category", TARGET),
    },
    ("english dates", "sold", "classification"): {
        "listed": (dates("%d/%m/%Y"), "date", IN),
        "closed": (gaps(dates("%m/%d/%Y"), 0.3), "date", IN),
        "sold": (one_of("TRUE", "FALSE"), "yes_no", TARGET),
    },
    ("sensors", "fault", "classification"): {
        "timestamp": (dates("%Y-%m-%d %H:%M:%S", 1, True), "date", IN),
        "signal": (vectors(64), "series", IN),
        "speed": (real(60, 10), "number", IN),
        "machine_type": (one_of("1", "2", "7"), "category", IN),
        "fault": (one_of("none", "bearing", "belt"), "category", TARGET),
    },
    ("waveform files", "rhythm", "classification"): {
        "ecg_id": (counting(1), "identifier", "key"),
        "wave": (files("w/{}.npy"), "series", IN),
        "rhythm": (one_of("SR", "AFIB"), "category", TARGET),
    },
    ("spectra as text", "origin", "classification"): {
        "spectrum": (
            lambda rng, _: [" ".join(f"{v:.2f}" for v in rng.normal(size=12)) for _ in range(ROWS)],
            "series",
            IN,
        ),
        "origin": (one_of("north", "south"), "category", TARGET),
    },
    ("clips", "fight", "classification"): {
        "clip": (files("v/{}.mp4"), "clip", IN),
        "source_video": (repeated("v", 40), "category", "group"),
        "fight": (one_of("yes", "no"), "yes_no", TARGET),
    },
    ("two pictures in a cell", "same", "classification"): {
        "pair": (lambda rng, f: [f"a/{r}.png;b/{r}.png" for r in range(ROWS)], "pictures", IN),
        "same": (one_of("Y", "N"), "yes_no", TARGET),
    },
    ("pandas index", "label", "classification"): {
        "Unnamed: 0": (counting(), "identifier", "key"),
        "text": (words(5, 30), "text", IN),
        "label": (CLASSES, "category", TARGET),
    },
    ("tweets", "sentiment", "classification"): {
        "tweet_id": (counting(570306133677760513), "identifier", "key"),
        "airline": (one_of("United", "Delta"), "category", IN),
        "retweet_count": (whole(0, 40), "number", IN),
        "text": (words(4, 25), "text", IN),
        "sentiment": (one_of("negative", "neutral", "positive"), "category", TARGET),
    },
    ("missing words", "y", "regression"): {
        "a": (gaps(real(1, 2), 0.3, "NA"), "number", IN),
        "b": (gaps(whole(0, 99), 0.3, "N/A"), "number", IN),
        "c": (gaps(real(0, 1), 0.2, "?"), "number", IN),
        "y": (real(5, 2), "number", TARGET),
    },
    ("constants", "y", "classification"): {
        "version": (one_of("1.0"), "constant", OUT),
        "comment": (one_of(""), "empty", OUT),
        "x": (real(0, 1), "number", IN),
        "y": (one_of("a", "b"), "category", TARGET),
    },
    ("traffic signs", "ClassId", "classification"): {
        "Path": (files("Train/{}.ppm"), "picture", IN),
        "Width": (whole(25, 243), "number", IN),
        "Height": (whole(25, 243), "number", IN),
        "ClassId": (whole(0, 20), "category", TARGET),
    },
    ("weighted survey", "vote", "classification"): {
        "respondent": (counting(1), "identifier", "key"),
        "weight": (real(1, 0.1), "number", "weight"),
        "state": (one_of("Ohio", "Texas", "Utah"), "category", IN),
        "vote": (one_of("A", "B"), "category", TARGET),
    },
    ("products", "category", "classification"): {
        "sku": (lambda rng, _: [f"SKU-{v:06d}" for v in rng.permutation(ROWS)], "identifier", "key"),
        "name": (words(2, 7), "text", IN),
        "brand": (one_of("Acme", "Bolt", "Cord"), "category", IN),
        "price": (real(20, 3, 2), "number", IN),
        "in stock": (one_of("true", "false"), "yes_no", IN),
        "category": (CLASSES, "category", TARGET),
    },
    ("windows paths", "label", "classification"): {
        "file": (files("pics\\{}.bmp"), "picture", IN),
        "label": (CLASSES, "category", TARGET),
    },
    ("radiology report", "abnormal", "classification"): {
        "study_id": (repeated("s", 90), "identifier", OUT),
        "subject_id": (repeated("p", 40), "identifier", "group"),
        "impression": (words(6, 40), "text", IN),
        "history": (gaps(words(4, 12), 0.4), "text", IN),
        "ViewPosition": (one_of("PA", "LATERAL"), "category", IN),
        "abnormal": (one_of("1", "0"), "yes_no", TARGET),
    },
    ("insurance", "charges", "regression"): {
        "age": (whole(18, 65), "number", IN),
        "sex": (SEX, "category", IN),
        "bmi": (real(30, 6, 2), "number", IN),
        "smoker": (one_of("yes", "no"), "yes_no", IN),
        "region": (one_of("southwest", "northeast"), "category", IN),
        "charges": (real(13000, 900, 4), "number", TARGET),
    },
    ("chinese table", "标签", "classification"): {
        "日期": (dates("%Y%m%d"), "date", IN),
        "城市": (one_of("北京", "上海", "广州"), "category", IN),
        "是否会员": (one_of("是", "否"), "yes_no", IN),
        "价格": (real(99, 9, 2), "number", IN),
        "标签": (one_of("好", "坏"), "category", TARGET),
    },
    ("typed cells", "ok", "classification"): {
        "when": (
            lambda rng, _: [np.datetime64("2020-01-01") + np.timedelta64(r, "D") for r in range(ROWS)],
            "date",
            IN,
        ),
        "value": (lambda rng, _: rng.normal(size=ROWS).tolist(), "number", IN),
        "flag": (lambda rng, _: [bool(v) for v in rng.integers(0, 2, ROWS)], "yes_no", IN),
        "views": (lambda rng, _: [[f"{r}a.jpg", f"{r}b.jpg"] for r in range(ROWS)], "pictures", IN),
        "ok": (lambda rng, _: [bool(v) for v in rng.integers(0, 2, ROWS)], "yes_no", TARGET),
    },
    ("tags", "tags", "multilabel"): {
        "picture": (files("{}.gif"), "picture", IN),
        "tags": (tags("; ", "sea", "sun", "boat", "dog"), "category", TARGET),
    },
    ("files that are not here", "label", "classification"): {
        "scan": (files("missing/{}.tif", False), "picture", IN),
        "operator": (one_of("JD", "KL", "MM"), "category", IN),
        "label": (CLASSES, "category", TARGET),
    },
}
"""Columns by name, target and task of their table."""
LAYOUTS = tuple(Layout(*names, columns) for names, columns in _TABLES.items())
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
    declared = number("fit.kinds")
    return 0 if declared.reaches(share, declared.bar) else 1


if __name__ == "__main__":
    sys.exit(main())
