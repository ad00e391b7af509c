"""Small sets in the forms of StockNet and of the headlines."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines._finance.demo import write_demo

__all__ = ["days", "write_demo", "write_headlines", "write_prices", "write_tweets"]


def days(count: int, first: str = "2015-01-01") -> list[str]:
    """Return weekdays."""
    start = datetime.date.fromisoformat(first)
    every = (start + datetime.timedelta(days=number) for number in range(2 * count + 7))
    return [day.isoformat() for day in every if day.weekday() < 5][:count]


def write_prices(folder: Path, stock: str, moves: Sequence[float], dates: Sequence[str] = ()) -> Path:
    """Write a file of prices as StockNet has it, the newest day first."""
    path = folder / "price" / f"{stock}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (date, move) in enumerate(zip(dates or days(len(moves)), moves, strict=True)):
        opened = 0.3 * move
        high, low = max(opened, move) + 0.004, min(opened, move) - 0.004
        numbers = (move, opened, high, low, move, 1e6 + number)
        rows.append("\t".join([date, *(f"{each:.6f}" for each in numbers)]))
    path.write_text("\n".join(reversed(rows)) + "\n", encoding="utf-8")
    return path


def write_tweets(folder: Path, stock: str, tweets: Sequence[tuple[str, str]]) -> None:
    """Write tweets with their moments, ``2015-01-05 19:59:00`` in UTC."""
    for moment, text in tweets:
        when = datetime.datetime.fromisoformat(moment)
        path = folder / "tweet" / stock / moment[:10]
        path.parent.mkdir(parents=True, exist_ok=True)
        line = {"text": text.split(), "created_at": when.strftime("%a %b %d %H:%M:%S +0000 %Y"), "user_id_str": "7"}
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def write_headlines(folder: Path, stock: str, closes: Sequence[float], titles: dict[str, list[str]]) -> None:
    """Write prices and headlines in the form of the source ``stock_headlines``."""
    with (folder / f"prices_{stock}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["date", "symbol", "high", "close", "low", "open", "volume"])
        for date, close in zip(days(len(closes)), closes, strict=True):
            writer.writerow([date, stock, close + 1, close, close - 1, close - 0.5, 1000])
    lines = [{"date": date, "headlines": [{"title": title} for title in several]} for date, several in titles.items()]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"headlines_{stock}.jsonl").write_text(text, encoding="utf-8")


def random_moves(count: int, seed: int = 0) -> list[float]:
    """Return movements of which some are too small for a label."""
    return np.random.default_rng(seed).normal(0, 0.012, count).round(6).tolist()
