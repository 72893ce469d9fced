"""Trades: public trades and a user's own. Prices are in quote units, quantities in base units."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import signed_number, unsigned_number

__all__ = ["Trade", "TradeStatus", "UserTrade"]

#: ``"Pending"`` until the clearing engine decides, then ``"Confirmed"`` or ``"Rollbacked"``. A status that this version
#: does not know is kept as text.
TradeStatus: TypeAlias = str


@attrs.frozen
class Trade:
    """A public trade (feed ``/trades`` and ``GET /trades``).

    Raises:
        ValueError: `price` or `quantity` is NaN, infinite or negative, or has too many digits.
        TypeError: `price` or `quantity` is a float or not a number.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    trade_id: int
    #: In quote units.
    price: Decimal = attrs.field(converter=unsigned_number)
    #: In base units.
    quantity: Decimal = attrs.field(converter=unsigned_number)
    #: When the trade took place, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether the buyer's order was the one that rested in the book.
    buyer_is_maker: bool
    #: Empty if the service does not send it.
    order_id: str = ""
    status: TradeStatus = "Confirmed"


@attrs.frozen
class UserTrade:
    """A trade from the view of one of its two users (feed ``/trades/user/{key}``).

    Raises:
        ValueError: `price` or `quantity` is NaN, infinite or negative, or `trading_fee` is NaN or infinite, or one of
            them has too many digits.
        TypeError: One of these is a float or not a number.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    trade_id: int
    #: The user's order.
    order_id: str
    #: In quote units.
    price: Decimal = attrs.field(converter=unsigned_number)
    #: In base units.
    quantity: Decimal = attrs.field(converter=unsigned_number)
    #: When the trade took place, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether the user's order was the one that rested in the book.
    is_maker: bool
    #: Whether the user bought.
    is_buyer: bool
    status: TradeStatus
    #: Why the trade was rolled back; None if it was not.
    rollback_reason: str | None = None
    is_liquidation: bool = False
    is_auto_deleverage: bool = False
    #: 0 is the main (spot) account, 1 the first margin account.
    sub_account: int = 0
    #: In USD; a rebate is negative.
    trading_fee: Decimal = attrs.field(default=Decimal(0), converter=signed_number)

    @property
    def buyer_is_maker(self) -> bool:
        """Whether the user bought with an order that rested in the book."""
        return self.is_buyer and self.is_maker
