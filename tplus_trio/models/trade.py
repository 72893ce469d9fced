"""Trades: the public ones, and a user's own."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import signed_number, unsigned_number

__all__ = ["Trade", "TradeStatus", "UserTrade"]

#: ``"Pending"`` until the clearing engine has spoken, then ``"Confirmed"`` or ``"Rollbacked"``. A status that this
#: version does not know is kept as text.
TradeStatus: TypeAlias = str


@attrs.frozen
class Trade:
    """A trade as everyone sees it."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    trade_id: int
    price: Decimal = attrs.field(converter=unsigned_number)
    quantity: Decimal = attrs.field(converter=unsigned_number)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether the buyer's order was the one that rested in the book.
    buyer_is_maker: bool
    #: Empty where the server does not say.
    order_id: str = ""
    status: TradeStatus = "Confirmed"


@attrs.frozen
class UserTrade:
    """A trade as one of its two sides sees it."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    trade_id: int
    order_id: str
    price: Decimal = attrs.field(converter=unsigned_number)
    quantity: Decimal = attrs.field(converter=unsigned_number)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    is_maker: bool
    is_buyer: bool
    status: TradeStatus
    rollback_reason: str | None = None
    is_liquidation: bool = False
    is_auto_deleverage: bool = False
    #: 0 is the main (spot) account, 1 the first margin account.
    sub_account: int = 0
    #: In USD; negative is a rebate.
    trading_fee: Decimal = attrs.field(default=Decimal(0), converter=signed_number)

    @property
    def buyer_is_maker(self) -> bool:
        """Whether the user bought, and with a resting order."""
        return self.is_buyer and self.is_maker
