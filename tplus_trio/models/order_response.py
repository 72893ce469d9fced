"""Answers of the order service: orders in listings, and results of operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Self

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.enums import OpenEnum
from tplus_trio.models.numbers import (
    finite,
    maybe_decimal,
    maybe_finite,
    to_decimal,
)
from tplus_trio.models.order import Side
from tplus_trio.models.rows import BadRow

__all__ = ["OperationStatus", "OrderOperationResponse", "OrderResponse", "OrdersSnapshot", "UserOrders"]


@attrs.frozen(kw_only=True)
class OrderResponse:
    """An order and its progress (a row of ``GET /orders/user/{key}``); a field that does not apply is None.

    Units are the book's, as in `Order`, although they come as `Decimal`: prices in price units
    (``10**-book_price_decimals`` quote units), quantities in quantity units (``10**-book_quantity_decimals`` base
    units), amounts in price units times quantity units. `Market` gives the decimals. Times are in nanoseconds since the
    Unix epoch, UTC. "Pending" trades are those that the clearing engine has not confirmed.
    """

    order_id: str
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    side: Side = attrs.field(converter=Side)
    #: The limit, in price units; None for a market order.
    limit_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The total over the order's life, filled part included, in quantity units; None for a market order by amount.
    quantity: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The size of a market order by quote amount, in price units times quantity units.
    amount: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The amount cap of a market order by base quantity, in price units times quantity units.
    max_sellable_amount: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The quantity cap of a market order by quote amount, in quantity units.
    max_sellable_quantity: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In quantity units.
    confirmed_filled_quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: In quantity units.
    pending_filled_quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: In price units times quantity units.
    confirmed_filled_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: In price units times quantity units.
    pending_filled_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: As the service sends it; the service does not say in which unit.
    confirmed_trading_fees_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: As the service sends it; the service does not say in which unit.
    pending_trading_fees_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: When the order expires; None if it does not.
    good_until_timestamp_ns: int | None = None
    #: When the order was made.
    timestamp_ns: int
    #: As the service sends it.
    in_flight: bool | None = None
    canceled: bool | None = None
    #: The state as the service spells it.
    status: str
    #: In price units; None without such a trigger.
    trigger_above_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In price units; None without such a trigger.
    trigger_below_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: Whether the condition of the trigger was met.
    trigger_touched: bool | None = None
    #: The id of the order to which this one belongs.
    parent_id: str | None = None
    #: When the order last changed.
    last_update_timestamp_ns: int | None = None
    is_immediate_or_cancel: bool | None = None
    is_fill_or_kill: bool | None = None
    is_liquidation: bool | None = None
    is_auto_deleverage: bool | None = None
    is_reduce_only: bool | None = None
    #: In quantity units.
    trigger_enabled_quantity: Decimal | None = attrs.field(
        default=None, converter=maybe_decimal, validator=maybe_finite
    )


class OperationStatus(OpenEnum):
    """Whether the service took a request. Decoding keeps an unknown status, whose `is_known` is False."""

    RECEIVED = "Received"
    REJECTED = "Rejected"


@attrs.frozen
class OrderOperationResponse:
    """The answer to one operation on one order, such as ``POST /orders/create``."""

    order_id: str
    status: OperationStatus = attrs.field(converter=OperationStatus)
    #: Why the service refused the request; None if it did not say.
    reason: str | None = None
    #: When the service processed the request, in nanoseconds since the Unix epoch, UTC.
    processed_at_ns: int | None = None


class _Page(NamedTuple):
    orders: tuple[OrderResponse, ...]
    page: Mapping[str, Any]


class UserOrders(_Page):
    """A page of a user's orders, newest first, and the other fields of that page as the service spells them.

    It unpacks to two values: ``orders, page = await client.get_user_orders()``. It is not hashable, because `page` is a
    mapping. Units are those of `OrderResponse`.
    """

    #: The rows that could not be decoded; `orders` has the others.
    bad: tuple[BadRow, ...]

    def __new__(cls, orders: tuple[OrderResponse, ...], page: Mapping[str, Any], bad: tuple[BadRow, ...] = ()) -> Self:
        """Make a page. It unpacks to ``orders`` and ``page``; ``bad`` is an attribute only."""
        self = super().__new__(cls, orders, page)
        self.bad = bad
        return self


def _orders(orders: Iterable[OrderResponse]) -> tuple[OrderResponse, ...]:
    return tuple(orders)


@attrs.frozen
class OrdersSnapshot:
    """A user's orders at one moment. An order stream yields it after each reconnection."""

    #: The orders, newest first, in the units of `OrderResponse`.
    orders: tuple[OrderResponse, ...] = attrs.field(converter=_orders)
    #: When the client had the orders, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether these are all of the user's orders. It is False if there are more than a stream asks for, of which the
    #: oldest are missing, and if some could not be decoded.
    is_complete: bool = True
