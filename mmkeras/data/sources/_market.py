"""Days of stocks as samples: the window of prices and the texts that are known before a day, and how it went.

The last step of a window is the trading day before, and its texts were public by the market's close of that day.
"""

from __future__ import annotations

import bisect
import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import look_into
from mmkeras.data.sources._prices import Prices, Read, Text

__all__ = ["LABELS", "Day", "MarketSource"]

_GAPS = (1, 6)
LABELS = ("fall", "rise")
_FEWEST = 5
"""Past days without which a day is no sample."""
_KEPT: dict[Any, Any] = {}
"""The set that was read last."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Day:
    """A day of a stock whose movement is to be predicted."""

    sample: Sample
    date: str
    stock: str
    move: float
    """Share by which the price at the close differs from that of the day before."""
    labelled: bool
    """Whether the movement is large enough for a label."""


@dataclass(frozen=True)
class MarketSource(SourceBase):
    """Options of the sources of stock prices with texts. The group of a sample is its day."""

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = ""
    """The unpacked data."""
    window: int = 20
    """Trading days in a window."""
    text_days: int = 2
    """Trading days before the predicted one whose texts are read."""
    texts: int = 6
    """Most texts of a sample, the newest first."""
    rise: float = 0.0055
    """A movement above it is a rise."""
    fall: float = -0.005
    """A movement up to it is a fall; days between both are no samples."""
    train_from: str = ""
    """First day of the training split; every day when empty."""
    validation_from: str = ""
    """First day of the validation split."""
    test_from: str = ""
    """First day of the test split."""
    until: str = ""
    """First day that is not used; none when empty."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        dates = {name: getattr(self, name) for name in ("train_from", "validation_from", "test_from", "until")}
        for name, date in dates.items():
            if date and not _DATE.fullmatch(date):
                raise ConfigError(f"{name}: expected a date such as 2015-08-01, got {date!r}")
        given = [date for date in dates.values() if date]
        if given != sorted(set(given)):
            raise ConfigError(f"expected dates in the order {', '.join(dates)}, got {', '.join(given)}")
        for name in ("window", "text_days", "texts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.fall > self.rise:
            raise ConfigError(f"fall: expected at most rise, {self.rise}, got {self.fall}")

    @abstractmethod
    def read(self) -> Read:
        """Read prices and texts.

        Raises:
            DataError: the folder does not hold the data.
        """

    @abstractmethod
    def files(self) -> list[Path]:
        """Return all files that are read, sorted."""

    def loaded(self) -> Read:
        """Return what `read` returns; the last set is kept, since every block of a walk-forward evaluation reads it."""
        key = (type(self).__name__, self.folder, tuple(self.fingerprint_inputs().items()))
        if key not in _KEPT:
            _KEPT.clear()
            _KEPT[key] = self.read()
        return _KEPT[key]

    def samples(self) -> Iterator[Sample]:
        """Yield the labelled days by date and stock, after the lines that cannot be used."""
        read = self.loaded()
        yield from read.bad
        for day in self.days(read):
            if day.labelled:
                yield day.sample

    def days(self, read: Read) -> list[Day]:
        """Return every day with enough past within the splits, labelled or not, by date and stock."""
        market = _market(read.prices)
        found = [day for prices in read.prices for day in self._days(prices, read.texts.get(prices.stock, ()), market)]
        return sorted(found, key=lambda day: (day.date, day.stock))

    def counts(self, read: Read) -> dict[str, int]:
        """Return how many days rise, fall, move too little for a label, and have no split or too few days before."""
        counted = dict.fromkeys((*LABELS, "between", "not used"), 0)
        for prices in read.prices:
            for place, (date, move) in enumerate(zip(prices.dates, prices.moves, strict=True)):
                used = place >= _FEWEST and self._split(date) is not None and np.isfinite(move)
                counted[self._label(move) or "between" if used else "not used"] += 1
        return counted

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the names, sizes and times of all files, and of the beginnings of some."""
        digest, files = hashlib.sha256(), self.files()
        for path in files:
            state = path.stat()
            digest.update(f"{path}:{state.st_size}:{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
        return {"files": digest.hexdigest(), "contents": look_into(files)}

    def _days(self, prices: Prices, texts: Sequence[Text], market: Mapping[str, np.ndarray]) -> Iterator[Day]:
        known = [text.known for text in texts]
        whole = np.concatenate([prices.steps, np.stack([market[date] for date in prices.dates])], axis=1)
        for place in range(_FEWEST, len(prices.dates)):
            date, move = prices.dates[place], float(prices.moves[place])
            split = self._split(date)
            if split is None or not np.isfinite(move):
                continue
            # Nothing of the day itself: the window ends with the day before, and so do the texts.
            first = prices.dates[max(0, place - 1 - self.text_days)]
            start, end = bisect.bisect_right(known, first), bisect.bisect_right(known, prices.dates[place - 1])
            newest = [text.text for text in texts[start:end]][::-1][: self.texts]
            many = "none" if not newest else "1 or 2" if len(newest) < 3 else "3 or more"
            window = whole[max(0, place - self.window) : place].copy()
            # Where the close before is adjusted for later dividends, its mean would tell of them.
            gaps = window[:, _GAPS]
            window[:, _GAPS] = gaps - np.where(np.isfinite(gaps), gaps, 0.0).sum(axis=0) / np.maximum(
                np.isfinite(gaps).sum(axis=0), 1
            )
            yield Day(
                Sample(
                    key=f"{prices.stock}/{date}",
                    values={"series": window, "text": " . ".join(newest) or None},
                    target="rise" if move > self.rise else "fall",
                    split=split,
                    group=date,
                    columns={"stock": prices.stock, "month": date[:7], "texts": many},
                    origin=prices.origins[place],
                ),
                date,
                prices.stock,
                move,
                bool(self._label(move)),
            )

    def _label(self, move: float) -> str:
        """Return the label of a movement; empty between both."""
        return "rise" if move > self.rise else "fall" if move <= self.fall else ""

    def _split(self, date: str) -> str | None:
        if date < self.train_from or (self.until and date >= self.until):
            return None
        if self.test_from and date >= self.test_from:
            return "test"
        return "validation" if self.validation_from and date >= self.validation_from else "train"


def _market(prices: Sequence[Prices]) -> dict[str, np.ndarray]:
    """Return the means (2,) of return and gap over all stocks, by date."""
    days: dict[str, list[np.ndarray]] = {}
    for each in prices:
        for date, step in zip(each.dates, each.steps, strict=True):
            days.setdefault(date, []).append(step[:2])
    means: dict[str, Any] = {}
    for date, steps in days.items():
        known = np.isfinite(table := np.stack(steps))
        count = known.sum(axis=0)
        means[date] = np.where(count, np.where(known, table, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return means
