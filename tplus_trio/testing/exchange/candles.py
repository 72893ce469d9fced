"""Candles made from trades."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import Interval, Timebar, Trade
from tplus_trio.testing.exchange.depth_book import number_text

__all__ = ["Candles", "candle_json"]

_MAX_CANDLES: Final = 10_000
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
#: The first Monday after the epoch, on which weeks are aligned.
_MONDAY: Final = 4 * _DAY


def _width_ns(interval: Interval) -> int:
    """Return an interval's width; a month has no fixed width and is not accepted."""
    text = interval.value
    if text.isdigit():
        return int(text) * 60 * _SECOND
    unit = {"S": _SECOND, "D": _DAY, "W": 7 * _DAY}[text[-1]]
    return int(text[:-1]) * unit


def bounds_ns(interval: Interval, timestamp_ns: int) -> tuple[int, int]:
    """Return when the candle that contains a time opens and closes."""
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
    """The candles of one market, of every interval. An interval costs nothing until it is first read.

    Args:
        trades: The market's trades, oldest first; call :meth:`add` for each trade added later.
    """

    def __init__(self, trades: Sequence[Trade]) -> None:
        self._trades = trades
        self._series: dict[Interval, dict[int, Timebar]] = {}

    def add(self, trade: Trade) -> None:
        """Add a trade to its candles."""
        for interval, bars in self._series.items():
            _count_in(bars, interval, trade)

    def change(self, trade: Trade) -> None:
        """Recalculate a trade's candles after its status changed: a trade that is rolled back adds no volume."""
        for interval, bars in self._series.items():
            opened_ns, closed_ns = bounds_ns(interval, trade.timestamp_ns)
            if opened_ns in bars:
                within = [t for t in self._trades if opened_ns <= t.timestamp_ns < closed_ns]
                bars[opened_ns] = _candle_of(within, opened_ns, closed_ns)

    def at(self, timestamp_ns: int, interval: Interval = Interval.MIN_1) -> Timebar:
        """Return the candle that contains a time.

        Raises:
            KeyError: It has no trade.
        """
        return self._bars(interval)[bounds_ns(interval, timestamp_ns)[0]]

    def newest_first(self, interval: Interval, end_ns: int | None = None) -> list[Timebar]:
        """Return the candles that opened at ``end_ns`` or before, newest first."""
        bars = sorted(self._bars(interval).values(), key=lambda bar: bar.open_timestamp_ns, reverse=True)
        return bars if end_ns is None else [bar for bar in bars if bar.open_timestamp_ns <= end_ns]

    def _bars(self, interval: Interval) -> dict[int, Timebar]:
        if interval not in self._series:
            within: dict[tuple[int, int], list[Trade]] = {}
            for trade in self._trades:
                within.setdefault(bounds_ns(interval, trade.timestamp_ns), []).append(trade)
            newest = sorted(within, reverse=True)[:_MAX_CANDLES]
            self._series[interval] = {bounds[0]: _candle_of(within[bounds], *bounds) for bounds in reversed(newest)}
        return self._series[interval]


def _candle_of(trades: Sequence[Trade], opened_ns: int, closed_ns: int) -> Timebar:
    """Return the candle of at least one trade. If all are rolled back, the first one's price is the candle's."""
    counted = [trade for trade in trades if trade.status != "Rollbacked"]
    prices = [trade.price for trade in counted or trades[:1]]
    return Timebar(
        open=prices[0],
        close=prices[-1],
        low=min(prices),
        high=max(prices),
        volume=sum((trade.quantity for trade in counted), Decimal(0)),
        open_timestamp_ns=opened_ns,
        close_timestamp_ns=closed_ns,
    )


def _count_in(bars: dict[int, Timebar], interval: Interval, trade: Trade) -> None:
    opened_ns, closed_ns = bounds_ns(interval, trade.timestamp_ns)
    bar = bars.get(opened_ns)
    if bar is None:
        bars[opened_ns] = _candle_of([trade], opened_ns, closed_ns)
        if len(bars) > _MAX_CANDLES:
            del bars[min(bars)]
        return
    price = trade.price
    first = not bar.volume  # all earlier trades were rolled back
    bars[opened_ns] = Timebar(
        open=price if first else bar.open,
        close=price,
        low=price if first else min(bar.low, price),
        high=price if first else max(bar.high, price),
        volume=trade.quantity + bar.volume,
        open_timestamp_ns=opened_ns,
        close_timestamp_ns=closed_ns,
    )


def candle_json(bar: Timebar) -> dict[str, Any]:
    """Return a candle as JSON."""
    return {
        "open": number_text(bar.open),
        "high": number_text(bar.high),
        "low": number_text(bar.low),
        "close": number_text(bar.close),
        "volume": number_text(bar.volume),
        "open_timestamp_ns": bar.open_timestamp_ns,
        "close_timestamp_ns": bar.close_timestamp_ns,
    }
