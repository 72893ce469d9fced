"""Candles made from trades."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import Interval, Timebar, Trade
from tplus_trio.testing.depth import number_text

__all__ = ["Candles", "candle_json"]

_MOST_BARS: Final = 10_000
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
#: The first Monday after the epoch, on which weeks are aligned.
_MONDAY: Final = 4 * _DAY


def _width_ns(interval: Interval) -> int:
    """An interval's width; not for a month, which has none."""
    text = interval.value
    if text.isdigit():
        return int(text) * 60 * _SECOND
    unit = {"S": _SECOND, "D": _DAY, "W": 7 * _DAY}[text[-1]]
    return int(text[:-1]) * unit


def bounds_ns(interval: Interval, timestamp_ns: int) -> tuple[int, int]:
    """When the candle that a moment falls into opens and closes."""
    if interval is Interval.MONTH_1:
        moment = dt.datetime.fromtimestamp(timestamp_ns // _SECOND, tz=dt.UTC)
        opened = moment.replace(day=1, hour=0, minute=0, second=0)
        closed = (opened + dt.timedelta(days=32)).replace(day=1)
        return int(opened.timestamp()) * _SECOND, int(closed.timestamp()) * _SECOND
    width = _width_ns(interval)
    offset = _MONDAY if interval is Interval.WEEK_1 else 0
    opened_ns = timestamp_ns - (timestamp_ns - offset) % width
    return opened_ns, opened_ns + width


class Candles:
    """The candles of one market, of every width; a width costs nothing until it is asked for.

    Args:
        trades: The market's trades, oldest first; what is added to them is told to :meth:`add`.
    """

    def __init__(self, trades: Sequence[Trade]) -> None:
        self._trades = trades
        self._series: dict[Interval, dict[int, Timebar]] = {}

    def add(self, trade: Trade) -> None:
        """Count a trade in."""
        for interval, bars in self._series.items():
            _count_in(bars, interval, trade)

    def latest(self, interval: Interval = Interval.MIN_1) -> Timebar:
        """The candle that the last trade belongs to.

        Raises:
            IndexError: There was no trade yet.
        """
        opened_ns, _ = bounds_ns(interval, self._trades[-1].timestamp_ns)
        return self._bars(interval)[opened_ns]

    def newest_first(self, interval: Interval, end_ns: int | None = None) -> list[Timebar]:
        """All candles that opened at ``end_ns`` or before."""
        bars = sorted(self._bars(interval).values(), key=lambda bar: bar.open_timestamp_ns, reverse=True)
        return bars if end_ns is None else [bar for bar in bars if bar.open_timestamp_ns <= end_ns]

    def _bars(self, interval: Interval) -> dict[int, Timebar]:
        if interval not in self._series:
            bars = self._series[interval] = {}
            for trade in self._trades:
                _count_in(bars, interval, trade)
        return self._series[interval]


def _count_in(bars: dict[int, Timebar], interval: Interval, trade: Trade) -> None:
    opened_ns, closed_ns = bounds_ns(interval, trade.timestamp_ns)
    bar = bars.get(opened_ns)
    price = trade.price
    bars[opened_ns] = Timebar(
        open=price if bar is None else bar.open,
        close=price,
        low=price if bar is None else min(bar.low, price),
        high=price if bar is None else max(bar.high, price),
        volume=trade.quantity + (Decimal(0) if bar is None else bar.volume),
        open_timestamp_ns=opened_ns,
        close_timestamp_ns=closed_ns,
    )
    if bar is None and len(bars) > _MOST_BARS:
        del bars[min(bars)]


def candle_json(bar: Timebar) -> dict[str, Any]:
    """A candle as it is sent."""
    return {
        "open": number_text(bar.open),
        "high": number_text(bar.high),
        "low": number_text(bar.low),
        "close": number_text(bar.close),
        "volume": number_text(bar.volume),
        "open_timestamp_ns": bar.open_timestamp_ns,
        "close_timestamp_ns": bar.close_timestamp_ns,
    }
