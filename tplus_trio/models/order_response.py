"""What the order service answers."""

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
    """An order and how far it has come; what does not apply is None. Times are ns since the Unix epoch."""

    order_id: str
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    side: Side = attrs.field(converter=Side)
    limit_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    quantity: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    amount: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    max_sellable_amount: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    max_sellable_quantity: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    confirmed_filled_quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    pending_filled_quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    confirmed_filled_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    pending_filled_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    confirmed_trading_fees_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    pending_trading_fees_amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    good_until_timestamp_ns: int | None = None
    timestamp_ns: int
    in_flight: bool | None = None
    canceled: bool | None = None
    status: str
    trigger_above_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    trigger_below_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    trigger_touched: bool | None = None
    parent_id: str | None = None
    last_update_timestamp_ns: int | None = None
    is_immediate_or_cancel: bool | None = None
    is_fill_or_kill: bool | None = None
    is_liquidation: bool | None = None
    is_auto_deleverage: bool | None = None
    is_reduce_only: bool | None = None
    trigger_enabled_quantity: Decimal | None = attrs.field(
        default=None, converter=maybe_decimal, validator=maybe_finite
    )


class OperationStatus(OpenEnum):
    """Whether a request was taken. A status that this version does not know is kept, and is not `is_known`."""

    RECEIVED = "Received"
    REJECTED = "Rejected"


@attrs.frozen
class OrderOperationResponse:
    """The answer to one request about one order."""

    order_id: str
    status: OperationStatus = attrs.field(converter=OperationStatus)
    reason: str | None = None
    processed_at_ns: int | None = None


class _Page(NamedTuple):
    orders: tuple[OrderResponse, ...]
    page: Mapping[str, Any]


class UserOrders(_Page):
    """A user's orders, newest first, and whatever else stood on the page (as the server spells it).

    It unpacks as two: ``orders, page = await client.get_user_orders()``. It is not hashable: `page` is a mapping.
    """

    #: The rows that could not be read; `orders` has the others.
    bad: tuple[BadRow, ...]

    def __new__(cls, orders: tuple[OrderResponse, ...], page: Mapping[str, Any], bad: tuple[BadRow, ...] = ()) -> Self:
        """The page; ``bad`` is beside the two that it unpacks to."""
        self = super().__new__(cls, orders, page)
        self.bad = bad
        return self


def _orders(orders: Iterable[OrderResponse]) -> tuple[OrderResponse, ...]:
    return tuple(orders)


@attrs.frozen
class OrdersSnapshot:
    """A user's orders at one moment, newest first; an order stream yields it after it was interrupted."""

    orders: tuple[OrderResponse, ...] = attrs.field(converter=_orders)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether these are all; False where there are more than a stream asks for, which are the oldest, and where some
    #: could not be read.
    is_complete: bool = True
