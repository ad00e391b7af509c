"""Returns of simple rules after costs, over every day of a test block, beside holding all stocks.

All days count, also those that move too little for a label: which days these are is not known before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["RULES", "Trades", "daily_returns", "summary"]

RULES: Mapping[str, tuple[float, float]] = {"long_flat": (1.0, 0.0), "long_short": (1.0, -1.0)}
"""Position after the answer rise and after the answer fall, by rule."""


@dataclass(frozen=True)
class Trades:
    """Returns of D days, equal weights for all stocks of a day."""

    dates: tuple[str, ...]
    gross: np.ndarray
    """float64 (D,): before costs."""
    net: np.ndarray
    """float64 (D,): after costs."""
    turnover: np.ndarray
    """float64 (D,): mean change of the positions."""


def daily_returns(
    stocks: Sequence[str], dates: Sequence[str], moves: np.ndarray, positions: np.ndarray, costs: float
) -> Trades:
    """Return what positions earn.

    Args:
        stocks: of N rows.
        dates: of the rows, ISO 8601.
        moves: float64 (N,): share by which the price rose on the day.
        positions: float64 (N,): held over the day; entered at the close before, and left after the last day.
        costs: basis points of the traded value, for each unit by which a position changes.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row in np.argsort(np.asarray(dates), kind="stable"):
        rows[stocks[row]].append(int(row))
    traded = np.zeros(len(moves))
    for own in rows.values():
        held = positions[own]
        traded[own] = np.abs(np.diff(held, prepend=0.0))
        traded[own[-1]] += abs(held[-1])
    days, of = np.unique(np.asarray(dates), return_inverse=True)
    count = np.bincount(of)
    gross, turnover = (np.bincount(of, each) / count for each in (positions * moves, traded))
    return Trades(tuple(map(str, days)), gross, gross - costs * 1e-4 * turnover, turnover)


def summary(
    stocks: Sequence[str], dates: Sequence[str], moves: np.ndarray, rises: np.ndarray, costs: float
) -> tuple[dict[str, Any], dict[str, Trades]]:
    """Return total returns by rule and of holding, and the days behind them.

    Args:
        stocks: of N rows.
        dates: of the rows.
        moves: float64 (N,).
        rises: bool (N,): the answer is rise.
        costs: basis points.

    Returns:
        ``{"days", "costs_bps", "long_flat", "long_short", "buy_and_hold"}``, each rule with ``before_costs``,
        ``after_costs``, ``turnover`` per day and ``excess_bps``: what it earns a day more than holding, in basis
        points, with a 95 % interval; and the trades by rule.
    """
    trades = {"buy_and_hold": daily_returns(stocks, dates, moves, np.ones(len(moves)), costs)}
    for name, (rise, fall) in RULES.items():
        trades[name] = daily_returns(stocks, dates, moves, np.where(rises, rise, fall), costs)
    result: dict[str, Any] = {"days": len(trades["buy_and_hold"].dates), "costs_bps": costs}
    for name, each in trades.items():
        result[name] = {
            "before_costs": _total(each.gross),
            "after_costs": _total(each.net),
            "turnover": float(each.turnover.mean()),
        }
        if name != "buy_and_hold":
            result[name]["excess_bps"] = _interval(1e4 * (each.net - trades["buy_and_hold"].net))
    return result, trades


def _total(daily: np.ndarray) -> float:
    return float(np.prod(1.0 + daily) - 1.0)


def _interval(daily: np.ndarray, resamples: int = 2000) -> dict[str, float]:
    """Return the mean with its 95 % interval by a bootstrap of days."""
    drawn = np.random.default_rng(0).integers(0, len(daily), (resamples, len(daily)))
    low, high = np.quantile(daily[drawn].mean(axis=1), [0.025, 0.975])
    return {"value": float(daily.mean()), "low": float(low), "high": float(high)}
