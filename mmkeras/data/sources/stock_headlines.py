"""Daily prices and headlines of AAPL, MSFT and TSLA (Corizzo and Rosen 2024, doi 10.1007/s10844-023-00804-1).

The set: https://github.com/rcorizzo/stock-market-stacking, without a licence. Headlines are of the whole day and can
speak of its close: they are read for the day after only.
"""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import Sample
from mmkeras.data.sources._market import MarketSource
from mmkeras.data.sources._prices import Prices, Read, Text, in_order, out_of_order

__all__ = ["Source"]

_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Source(MarketSource):
    """Modalities ``series`` (prices, see `FEATURES`) and ``text`` (headlines); targets ``rise`` and ``fall``.

    Files ``prices_<stock>.csv`` with the columns date, open, high, low, close and volume; ``headlines_<stock>.jsonl``
    with ``{"date": ..., "headlines": [{"title": ...}]}`` in each line.
    """

    rise: float = 0.0
    fall: float = 0.0

    def read(self) -> Read:
        """Read all prices and headlines; lines that cannot be used are among the bad samples."""
        bad: list[Sample] = []
        paths = sorted(Path(self.folder).glob("prices_*.csv")) if self.folder else []
        if not paths:
            raise DataError(
                f"{self.folder or 'data.source.options.folder'}: expected files prices_<stock>.csv and "
                "headlines_<stock>.jsonl, found none"
            )
        prices = [each for each in (_prices(path, bad) for path in paths) if len(each.dates)]
        texts = {
            each.stock: sorted(
                _headlines(Path(self.folder, f"headlines_{each.stock}.jsonl"), bad), key=lambda t: t.known
            )
            for each in prices
        }
        return Read(prices, texts, bad)

    def files(self) -> list[Path]:
        """Return the files of prices and headlines."""
        folder = Path(self.folder)
        return sorted([*folder.glob("prices_*.csv"), *folder.glob("headlines_*.jsonl")])


def _prices(path: Path, bad: list[Sample]) -> Prices:
    rows: list[tuple[str, str, list[float]]] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = sorted({"date", *_NUMBERS} - set(reader.fieldnames or ()))
        if missing:
            raise DataError(f"{path}: expected the columns date, {', '.join(_NUMBERS)}; it has no {', '.join(missing)}")
        for cells in reader:
            origin = f"{path.name}:{reader.line_num}"
            try:
                rows.append((origin, *_row(cells)))
            except DataError as error:
                bad.append(Sample(key=origin, values={}, target=error, origin=origin))
    kept, wrong = in_order([date for _, date, _ in rows])
    bad += [out_of_order(*rows[place][:2]) for place in wrong]
    numbers = np.array([rows[place][2] for place in kept]).reshape(-1, len(_NUMBERS))
    opened, high, low, closed = np.log(numbers[:, :4].T)
    volume = np.log(np.where(numbers[:, 4] > 0, numbers[:, 4], np.nan))
    returns = np.diff(closed, prepend=np.nan)
    gaps = opened - np.concatenate([[np.nan], closed[:-1]])
    steps = np.stack([returns, gaps, high - low, opened - low, volume], axis=1)
    dates, origins = tuple(rows[place][1] for place in kept), tuple(rows[place][0] for place in kept)
    return Prices(path.stem.removeprefix("prices_"), dates, origins, np.expm1(returns), steps)


def _row(cells: dict[str, str]) -> tuple[str, list[float]]:
    try:
        datetime.date.fromisoformat(cells["date"])
    except (TypeError, ValueError):
        raise DataError(f"date: expected a date such as 2015-08-03, got {cells['date']!r:.40}") from None
    numbers = []
    for name in _NUMBERS:
        try:
            number = float(cells[name])
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or (name != "volume" and number <= 0):
            raise DataError(f"{name}: expected a finite number, a price above 0, got {cells[name]!r:.40}")
        numbers.append(number)
    return cells["date"], numbers


def _headlines(path: Path, bad: list[Sample]) -> Iterator[Text]:
    lines = path.read_text("utf-8", errors="replace").split("\n") if path.is_file() else []
    for number, line in enumerate(lines, 1):
        origin = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            day = json.loads(line)
            date = datetime.date.fromisoformat(day["date"]).isoformat()
            titles = [" ".join(str(each["title"]).split()) for each in day["headlines"]]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            problem = DataError(f"expected a day with date and headlines, got {line!r:.60} ({error!s:.80})")
            bad.append(Sample(key=origin, values={}, target=problem, origin=origin))
        else:
            yield from (Text(date, title) for title in titles if title)
