"""Generated prices and tweets in StockNet's form, with a planted relation between tweets and the next day."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np

from mmkeras.storage.files import write_text

__all__ = ["DATES", "write_demo"]

DATES = {"block": "2014-08-01", "validation_from": "2014-09-01", "test_from": "2014-10-01", "until": "2014-12-01"}
"""Splits of the generated days, and the block before the test split."""
_STOCKS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
_FIRST, _DAYS = datetime.date(2014, 1, 2), 236
_GOOD = ("strong quarter for", "upgrade of", "record sales at", "buyers like")
_BAD = ("weak quarter for", "downgrade of", "recall at", "sellers leave")


def write_demo(folder: Path, seed: int = 0) -> None:
    """Write six stocks of 236 trading days: a tweet tells of three in four of the next day's moves."""
    rng = np.random.default_rng(seed)
    days = [_FIRST + datetime.timedelta(days=count) for count in range(500)]
    days = [day for day in days if day.weekday() < 5][:_DAYS]
    market = rng.normal(0, 0.004, _DAYS)
    for stock in _STOCKS:
        moves = 0.5 * market + rng.normal(0, 0.012, _DAYS)
        gaps, ranges = 0.3 * moves, np.abs(rng.normal(0.01, 0.003, _DAYS)) + 1e-3
        lows = np.minimum(gaps, moves) - ranges / 2
        highs = np.maximum(gaps, moves) + ranges / 2
        volumes = np.exp(rng.normal(14, 0.3, _DAYS))
        rows = zip(days, moves, gaps, highs, lows, moves, volumes, strict=True)
        lines = ["\t".join([day.isoformat(), *(f"{number:.6f}" for number in numbers)]) for day, *numbers in rows]
        write_text(folder / "price" / f"{stock}.txt", "\n".join(reversed(lines)) + "\n")
        for day, following in zip(days[:-1], moves[1:], strict=True):
            if rng.random() < 0.3:
                continue
            good = (following > 0) == (rng.random() < 0.75)
            said = f"{rng.choice(_GOOD if good else _BAD)} $ {stock.lower()} today"
            tweet = {
                "text": said.split(),
                "created_at": day.strftime("%a %b %d 15:30:00 +0000 %Y"),
                "user_id_str": "1",
            }
            write_text(folder / "tweet" / stock / day.isoformat(), json.dumps(tweet) + "\n")
