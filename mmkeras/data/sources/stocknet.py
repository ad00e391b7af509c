"""StockNet: daily prices of 88 stocks and tweets about them, 2014 to 2015 (Xu and Cohen 2018, ACL, P18-1183).

The set: https://github.com/yumoxu/stocknet-dataset, MIT licence. The folders ``price/preprocessed`` and
``tweet/preprocessed`` of it are ``price`` and ``tweet`` here; both layouts are read.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import Sample
from mmkeras.data.sources._market import MarketSource
from mmkeras.data.sources._prices import Prices, Read, Text, in_order, out_of_order

__all__ = ["Source"]

_CLOSE = datetime.timedelta(hours=4)
"""From 20:00 UTC to midnight. New York closes at 20:00 UTC in summer and at 21:00 in winter: what is sent in between
counts for the next day, so that no tweet is read before it was public."""
_FIELDS = ("date", "movement", "open", "high", "low", "change", "volume")


@dataclass(frozen=True)
class Source(MarketSource):
    """Modalities ``series`` (prices, see `FEATURES`) and ``text`` (tweets); targets ``rise`` and ``fall``.

    As in the paper a movement above 0.55 % is a rise, one of -0.5 % or less a fall, and days between both are left out.
    """

    def read(self) -> Read:
        """Read all prices and tweets; lines that cannot be used are among the bad samples."""
        bad: list[Sample] = []
        prices = [_prices(path, bad) for path in sorted(self._place("price").glob("*.txt"))]
        prices = [each for each in prices if len(each.dates)]
        tweets = self._place("tweet")
        texts = {each.stock: sorted(_tweets(tweets / each.stock, bad), key=lambda text: text.known) for each in prices}
        if not prices:
            raise DataError(f"{self._place('price')}: expected files of prices such as AAPL.txt, found none")
        return Read(prices, texts, bad)

    def files(self) -> list[Path]:
        """Return the files of prices and tweets."""
        names = [path for part in ("price", "tweet") for path in self._place(part).rglob("*") if path.is_file()]
        return sorted(names)

    def _place(self, part: Literal["price", "tweet"]) -> Path:
        folder = Path(self.folder, part, "preprocessed")
        folder = folder if folder.is_dir() else Path(self.folder, part)
        if not self.folder or not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder. Expected the unpacked StockNet data with price and tweet in "
                "data.source.options.folder"
            )
        return folder


def _prices(path: Path, bad: list[Sample]) -> Prices:
    """Read a file of prices; its lines are in the order of time, in either direction."""
    rows: list[tuple[str, str, list[float]]] = []
    for number, line in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
        origin = f"price/{path.name}:{number}"
        try:
            if line.strip():
                rows.append((origin, *_row(line)))
        except DataError as error:
            bad.append(Sample(key=origin, values={}, target=error, origin=origin))
    kept, wrong = in_order([date for _, date, _ in rows])
    bad += [out_of_order(*rows[place][:2]) for place in wrong]
    numbers = np.array([rows[place][2] for place in kept]).reshape(-1, len(_FIELDS) - 1)
    # Open, high and low are relative to the adjusted close of the day before: their ratios need no adjustment.
    opened, high, low = np.log1p(numbers[:, 1:4].T)
    volume = np.log(np.where(numbers[:, 5] > 0, numbers[:, 5], np.nan))
    steps = np.stack([np.log1p(numbers[:, 0]), opened, high - low, opened - low, volume], axis=1)
    dates, origins = tuple(rows[place][1] for place in kept), tuple(rows[place][0] for place in kept)
    return Prices(path.stem, dates, origins, numbers[:, 0], steps)


def _row(line: str) -> tuple[str, list[float]]:
    cells = line.rstrip("\r").split("\t")
    if len(cells) != len(_FIELDS):
        raise DataError(f"expected {', '.join(_FIELDS)} with tabs between, got {len(cells)} cells: {line!r:.60}")
    try:
        datetime.date.fromisoformat(cells[0])
    except ValueError:
        raise DataError(f"expected a date such as 2015-08-03, got {cells[0]!r:.40}") from None
    numbers = []
    for name, cell in zip(_FIELDS[1:], cells[1:], strict=True):
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or (name not in ("change", "volume") and number <= -1):
            raise DataError(f"{name}: expected a finite number, a share above -1, got {cell!r:.40}")
        numbers.append(number)
    return cells[0], numbers


def _tweets(folder: Path, bad: list[Sample]) -> Iterator[Text]:
    """Yield the tweets about a stock, in the order of time within each file."""
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        found: list[tuple[datetime.datetime, str]] = []
        for number, line in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
            origin = f"tweet/{folder.name}/{path.name}:{number}"
            if not line.strip():
                continue
            try:
                found.append(_tweet(line))
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                problem = DataError(f"expected a tweet with text and created_at, got {line!r:.60} ({error!s:.80})")
                bad.append(Sample(key=origin, values={}, target=problem, origin=origin))
        for moment, text in sorted(found):
            yield Text((moment + _CLOSE).date().isoformat(), text)


def _tweet(line: str) -> tuple[datetime.datetime, str]:
    tweet = json.loads(line)
    moment = datetime.datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y")
    words = tweet["text"]
    text = words if isinstance(words, str) else " ".join(map(str, words))
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None), " ".join(text.split())
