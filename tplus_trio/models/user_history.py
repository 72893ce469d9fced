"""A user's past trades and orders, as the market data service keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import finite, maybe_decimal, maybe_finite, signed_number, to_decimal, unsigned_number
from tplus_trio.models.order import Side
from tplus_trio.models.order_response import OrderStatus
from tplus_trio.models.rows import BadRow, PageRows
from tplus_trio.models.trade import TradeStatus

__all__ = ["HistoricalUserOrder", "HistoricalUserTrade", "UserOrdersPage", "UserTradesPage"]


@attrs.frozen(kw_only=True)
class HistoricalUserTrade:
    """What an order of a user traded (a row of ``GET /trades/user/{key}``).

    The service may add up several trades of one order in one row, so that a row has no trade id.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
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
    is_liquidation: bool
    is_auto_deleverage: bool
    #: 0 is the main (spot) account, 1 the first margin account.
    sub_account: int
    #: In USD; a rebate is negative.
    trading_fee: Decimal = attrs.field(converter=signed_number)

    @property
    def buyer_is_maker(self) -> bool:
        """Whether the user bought with an order that rested in the book."""
        return self.is_buyer and self.is_maker


@attrs.frozen(kw_only=True)
class HistoricalUserOrder:
    """A past or present order of a user (a row of the market data service's ``GET /orders/user/{key}``).

    Units are the book's, as in `OrderResponse`: prices in price units, quantities in quantity units, amounts in price
    units times quantity units. Times are in nanoseconds since the Unix epoch, UTC. A field that does not apply is None.
    """

    order_id: str
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The index of the sub-account.
    account_index: int
    #: Whether the order trades the spot balance, not the margin balance.
    is_spot: bool
    side: Side = attrs.field(converter=Side)
    #: The limit, in price units; None for a market order.
    limit_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The total over the order's life, in quantity units; None for a market order by amount.
    quantity: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The size of a market order by quote amount, in price units times quantity units.
    amount: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In quantity units.
    confirmed_filled_quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: In price units times quantity units.
    confirmed_filled_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: As the service sends it; the service does not say in which unit.
    confirmed_trading_fees_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: When the order expires; None if it does not.
    good_until_timestamp_ns: int | None = None
    #: When the order was made.
    timestamp_ns: int
    is_immediate_or_cancel: bool
    is_fill_or_kill: bool
    is_liquidation: bool
    is_auto_deleverage: bool
    is_reduce_only: bool
    canceled: bool
    status: OrderStatus = attrs.field(converter=OrderStatus)
    #: In price units; None without such a trigger.
    trigger_above_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In price units; None without such a trigger.
    trigger_below_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: Whether the condition of the trigger was met.
    trigger_touched: bool | None = None
    #: In quantity units.
    trigger_enabled_quantity: Decimal | None = attrs.field(
        default=None, converter=maybe_decimal, validator=maybe_finite
    )
    #: The id of the order to which this one belongs.
    parent_id: str | None = None
    #: When the order last changed.
    last_update_timestamp_ns: int


def _trades(trades: Iterable[HistoricalUserTrade]) -> tuple[HistoricalUserTrade, ...]:
    return tuple(trades)


def _orders(orders: Iterable[HistoricalUserOrder]) -> tuple[HistoricalUserOrder, ...]:
    return tuple(orders)


@attrs.frozen
class UserTradesPage(PageRows[HistoricalUserTrade]):
    """A page of a user's trades, newest first. It is also a sequence of them."""

    trades: tuple[HistoricalUserTrade, ...] = attrs.field(converter=_trades)
    #: Whether older trades follow on the next page. It is False also if the service does not say.
    has_next_page: bool = False
    #: The number of the next page; None if there is none, and if the service does not send it.
    next_page: int | None = None
    #: The rows that could not be decoded; ``trades`` has the others. It does not count in comparisons.
    bad: tuple[BadRow, ...] = attrs.field(default=(), eq=False)

    def _rows(self) -> tuple[HistoricalUserTrade, ...]:
        return self.trades


@attrs.frozen
class UserOrdersPage(PageRows[HistoricalUserOrder]):
    """A page of a user's orders, newest first. It is also a sequence of them."""

    orders: tuple[HistoricalUserOrder, ...] = attrs.field(converter=_orders)
    #: Whether older orders follow on the next page. It is False also if the service does not say.
    has_next_page: bool = False
    #: The number of the next page; None if there is none, and if the service does not send it.
    next_page: int | None = None
    #: The rows that could not be decoded; ``orders`` has the others. It does not count in comparisons.
    bad: tuple[BadRow, ...] = attrs.field(default=(), eq=False)

    def _rows(self) -> tuple[HistoricalUserOrder, ...]:
        return self.orders
