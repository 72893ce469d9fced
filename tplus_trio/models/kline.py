"""Candles (klines): their widths, one candle, and a page of candles."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import unsigned_number
from tplus_trio.models.rows import BadRow

__all__ = ["Interval", "KlineUpdate", "KlinesPage", "Timebar"]


class Interval(StrEnum):
    """The width of a candle as the service spells it: digits alone are minutes, ``1M`` is a month."""

    SEC_1 = "1S"
    SEC_5 = "5S"
    SEC_15 = "15S"
    SEC_30 = "30S"
    MIN_1 = "1"
    MIN_3 = "3"
    MIN_5 = "5"
    MIN_15 = "15"
    MIN_30 = "30"
    HOUR_1 = "60"
    HOUR_2 = "120"
    HOUR_4 = "240"
    HOUR_6 = "360"
    HOUR_8 = "480"
    HOUR_12 = "720"
    DAY_1 = "1D"
    DAY_3 = "3D"
    WEEK_1 = "1W"
    MONTH_1 = "1M"


def _utc(timestamp_ns: int) -> dt.datetime:
    """Convert a time in nanoseconds, rounded down to the microseconds that a datetime holds."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return epoch + dt.timedelta(microseconds=timestamp_ns // 1000)


@attrs.frozen
class Timebar:
    """One candle (``GET /klines/{asset}``). No number is negative.

    Times are in nanoseconds since the Unix epoch, UTC.
    """

    #: The first price, in quote units.
    open: Decimal = attrs.field(converter=unsigned_number)
    #: The last price so far, in quote units.
    close: Decimal = attrs.field(converter=unsigned_number)
    #: The lowest price, in quote units.
    low: Decimal = attrs.field(converter=unsigned_number)
    #: The highest price, in quote units.
    high: Decimal = attrs.field(converter=unsigned_number)
    #: The quantity traded, in base units.
    volume: Decimal = attrs.field(converter=unsigned_number)
    #: When the candle opened.
    open_timestamp_ns: int
    #: When the candle closes.
    close_timestamp_ns: int

    @property
    def open_datetime(self) -> dt.datetime:
        """When the candle opened: an aware datetime in UTC, rounded down to the microsecond."""
        return _utc(self.open_timestamp_ns)

    @property
    def close_datetime(self) -> dt.datetime:
        """When the candle closes: an aware datetime in UTC, rounded down to the microsecond."""
        return _utc(self.close_timestamp_ns)


@attrs.frozen(kw_only=True)
class KlineUpdate(Timebar):
    """A candle of a known asset (feed ``/klines/diff/{asset}``)."""

    #: The asset. The service names it only in the path of the feed.
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)

    @classmethod
    def of(cls, asset_id: AssetIdentifier, bar: Timebar) -> KlineUpdate:
        """Return the same candle with its asset."""
        return cls(
            bar.open,
            bar.close,
            bar.low,
            bar.high,
            bar.volume,
            bar.open_timestamp_ns,
            bar.close_timestamp_ns,
            asset_id=asset_id,
        )


def _timebars(timebars: Iterable[Timebar]) -> tuple[Timebar, ...]:
    return tuple(timebars)


@attrs.frozen
class KlinesPage:
    """A page of candles, newest first (``GET /klines/{asset}``)."""

    #: The candles, newest first.
    items: tuple[Timebar, ...] = attrs.field(converter=_timebars)
    #: Whether older candles follow on the next page.
    has_next_page: bool = False
    #: The number of the next page; None if the service does not send it.
    next_page: int | None = None
    #: The service keeps no candles before this time, in nanoseconds since the Unix epoch, UTC; None if unknown.
    truncated_before_ns: int | None = None
    #: The rows that could not be decoded; `items` has the others. It is not sent, and does not count in comparisons.
    bad: tuple[BadRow, ...] = attrs.field(default=(), eq=False)
