"""The last day of a market in a few numbers."""

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
    """The best price of a side, and the total that rests there."""

    price: Decimal = attrs.field(converter=to_decimal, validator=not_negative)
    size: Decimal = attrs.field(converter=to_decimal, validator=not_negative)


@attrs.frozen(kw_only=True)
class TickerOpenInterest:
    """What is outstanding on each side, in units of the asset."""

    long: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    short: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int

    @property
    def total_open_interest(self) -> Decimal | None:
        """The larger side, as the exchange counts its caps; None where neither is known."""
        return max((side for side in (self.long, self.short) if side is not None), default=None)


@attrs.frozen(kw_only=True)
class Ticker:
    """The last 24 hours of one market; what the server does not know is None."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    last_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    mark_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    index_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    best_bid: BookLevel | None = None
    best_ask: BookLevel | None = None
    open_interest: TickerOpenInterest | None = None
    #: In units of the asset.
    volume_24h: Decimal = attrs.field(converter=to_decimal, validator=not_negative)
    high_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    low_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_not_negative)
    price_change_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    price_change_pct_24h: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
