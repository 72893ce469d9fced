"""Answers of the order service: orders in listings, and results of operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

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

__all__ = [
    "OperationStatus",
    "OrderOperationResponse",
    "OrderResponse",
    "OrderStatus",
    "OrdersSnapshot",
    "UserOrders",
]


class OrderStatus(OpenEnum):
    """What has become of an order, in any case. Decoding keeps an unknown status, whose `is_known` is False.

    An unknown status is neither open nor done.

    Raises:
        ValueError: ``OrderStatus(text)`` is called with the text of no known status.
    """

    #: It waits for its trigger.
    PENDING = "Pending"
    #: It rests in the book, and nothing of it has traded.
    OPEN = "Open"
    #: It rests in the book, and some of it has traded.
    PARTIAL = "Partial"
    #: It was cancelled.
    CANCELLED = "Cancelled"
    #: It ended for another reason, such as its expiry.
    CLOSED = "Closed"
    #: All of it has traded.
    COMPLETED = "Completed"

    @classmethod
    def _known(cls, text: str) -> OrderStatus | None:
        word = text.strip().capitalize()
        member = cls._value2member_map_.get("Cancelled" if word == "Canceled" else word)
        return member if isinstance(member, OrderStatus) else None

    @property
    def is_open(self) -> bool:
        """Whether the order rests in the book or waits for its trigger. It is False for an unknown status."""
        return self in _OPEN

    @property
    def is_done(self) -> bool:
        """Whether the order has ended for good. It is False for an unknown status."""
        return self in _DONE


_OPEN: Final = frozenset({OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIAL})
_DONE: Final = frozenset({OrderStatus.CANCELLED, OrderStatus.CLOSED, OrderStatus.COMPLETED})


@attrs.frozen(kw_only=True)
class OrderResponse:
    """An order and its progress (a row of ``GET /orders/user/{key}``); a field that does not apply is None.

    Units are the book's, as in `Order`, although they come as ``Decimal``: prices in price units
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
    status: OrderStatus = attrs.field(converter=OrderStatus)
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

    @property
    def is_open(self) -> bool:
        """Whether the order rests in the book or waits for its trigger. It is False for an unknown status."""
        return self.status.is_open

    @property
    def is_done(self) -> bool:
        """Whether the order has ended for good. It is False for an unknown status."""
        return self.status.is_done


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

    #: The rows that could not be decoded; ``orders`` has the others.
    bad: tuple[BadRow, ...]
    #: Whether the client left out orders that have ended, as an order stream does.
    open_only: bool

    def __new__(
        cls,
        orders: tuple[OrderResponse, ...],
        page: Mapping[str, Any],
        bad: tuple[BadRow, ...] = (),
        *,
        open_only: bool = False,
    ) -> Self:
        """Make a page. It unpacks to ``orders`` and ``page``; the others are attributes only."""
        self = super().__new__(cls, orders, page)
        self.bad = bad
        self.open_only = open_only
        return self


def _orders(orders: Iterable[OrderResponse]) -> tuple[OrderResponse, ...]:
    return tuple(orders)


@attrs.frozen
class OrdersSnapshot:
    """A user's orders at one moment. An order stream yields it after each reconnection, and at its start on request."""

    #: The orders, newest first, in the units of `OrderResponse`.
    orders: tuple[OrderResponse, ...] = attrs.field(converter=_orders)
    #: When the client had the orders, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int
    #: Whether no order is missing. It is False if there are more than a stream asks for, of which the oldest are
    #: missing, and if some could not be decoded.
    is_complete: bool = True
    #: Whether orders that have ended were left out, as an order stream does. Orders of an unknown status are included.
    open_only: bool = False
