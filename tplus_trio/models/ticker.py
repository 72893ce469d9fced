"""Tickers: the last 24 hours of a market in a few numbers."""

from __future__ import annotations

from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import (
    maybe_decimal,
    maybe_finite,
    maybe_not_negative,
    not_negative,
    to_decimal,
)

__all__ = ["BookLevel", "Ticker", "TickerOpenInterest"]


@attrs.frozen
class BookLevel:
    """The best price of one side of a book and the total quantity that rests there."""

    #: In quote units.
    price: Decimal = attrs.field(converter=to_decimal, validator=not_negative)
    #: In base units.
    size: Decimal = attrs.field(converter=to_decimal, validator=not_negative)


@attrs.frozen(kw_only=True)
class TickerOpenInterest:
    """The total of open positions on each side of a market, in base units; an unknown side is None."""

    #: In base units.
    long: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In base units.
    short: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: When it was measured, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int

    @property
    def total_open_interest(self) -> Decimal | None:
        """The larger of the two sides, in base units, as the exchange counts for its caps; None if both are unknown."""
        return max((side for side in (self.long, self.short) if side is not None), default=None)


@attrs.frozen(kw_only=True)
class Ticker:
    """The last 24 hours of one market (``GET /ticker/{asset}`` and the ticker feeds).

    Prices are in quote units, quantities in base units. A value that the service does not know is None.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The price of the last trade, in quote units.
    last_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    #: The price at which the service values positions, in quote units.
    mark_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    #: The price of the asset on other exchanges, in quote units.
    index_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    best_bid: BookLevel | None = None
    best_ask: BookLevel | None = None
    open_interest: TickerOpenInterest | None = None
    #: The quantity traded, in base units.
    volume_24h: Decimal = attrs.field(converter=to_decimal, validator=not_negative)
    #: In quote units.
    high_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    #: In quote units.
    low_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    #: In quote units; negative if the price fell.
    price_change_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In percent; negative if the price fell.
    price_change_pct_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: When the ticker was made, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
