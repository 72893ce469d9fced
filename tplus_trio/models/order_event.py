"""What happens to a user's orders. Quantities and amounts are integers in the book's units.

The event classes have no slot for weak references, because `tplus_trio.codec.fast_order_events` makes instances in a
way that does not work with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.order import Order, signature_bytes, units

__all__ = [
    "OrderAmendFailedEvent",
    "OrderAmendedEvent",
    "OrderCancelFailedEvent",
    "OrderCancelledEvent",
    "OrderCreateFailedEvent",
    "OrderCreatedEvent",
    "OrderEvent",
    "OrderRemovedEvent",
    "OrderReplaceFailedEvent",
    "OrderReplacedEvent",
    "OrderTriggeredEvent",
    "OrderUpdatedEvent",
    "UnknownOrderEvent",
]


@attrs.frozen(weakref_slot=False)
class OrderCreatedEvent:
    """An order is in the book's hands.

    It is hashable where its overrides are: those that are objects are not.
    """

    event_type: ClassVar[str] = "CREATED"

    user_order: Order
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    book_timestamp_ns: int
    limit_overrides: Any = None
    limit_overrides_signature: Any = attrs.field(default=None, repr=False)
    amend_overrides: Any = None
    trigger_touched: bool | None = None
    is_liquidation: bool = False
    is_auto_deleverage: bool = False

    @property
    def order_id(self) -> str:
        """The created order's id."""
        return self.user_order.order_id


@attrs.frozen(weakref_slot=False)
class OrderUpdatedEvent:
    """An order has traded; only older servers say so here."""

    event_type: ClassVar[str] = "UPDATED"

    order_id: str
    status: str
    filled_quantity: int = attrs.field(validator=units)
    remaining_quantity: int = attrs.field(validator=units)
    update_timestamp_ns: int


@attrs.frozen(weakref_slot=False)
class OrderCancelledEvent:
    """An order was canceled."""

    event_type: ClassVar[str] = "CANCELED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    timestamp_ns: int
    operator_pubkey: str | None = None
    initial_receive_timestamp_ns: int | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class OrderRemovedEvent:
    """An order has left the book for good.

    ``reason`` is ``Completed``, ``Canceled``, ``Expired``, ``Rejected`` or ``SelfTradePrevented``.
    """

    event_type: ClassVar[str] = "REMOVED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    timestamp_ns: int
    operator_pubkey: str | None = None
    reason: str
    filled_quantity: int = attrs.field(default=0, validator=units)
    confirmed_quantity: int = attrs.field(default=0, validator=units)
    filled_amount: int = attrs.field(default=0, validator=units)
    confirmed_amount: int = attrs.field(default=0, validator=units)
    book_quantity_decimals: int = 0
    initial_receive_timestamp_ns: int | None = None


@attrs.frozen(weakref_slot=False)
class OrderReplacedEvent:
    """An order has new terms."""

    event_type: ClassVar[str] = "REPLACED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    new_quantity: int = attrs.field(validator=units)
    new_price: int = attrs.field(validator=units)
    timestamp_ns: int | None = None
    authorization_revision: int = 0
    operator_pubkey: str | None = None
    initial_receive_timestamp_ns: int | None = None


@attrs.frozen(weakref_slot=False)
class OrderAmendedEvent:
    """An order's quantity was reduced."""

    event_type: ClassVar[str] = "AMENDED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    new_quantity: int = attrs.field(validator=units)
    remaining_quantity: int = attrs.field(validator=units)
    authorization_revision: int = 0
    book_quantity_decimals: int = 0
    timestamp_ns: int | None = None
    operator_pubkey: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderTriggeredEvent:
    """A trigger's condition was met: the order is active."""

    event_type: ClassVar[str] = "TRIGGERED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    timestamp_ns: int
    quantity: int = attrs.field(validator=units)
    trigger_touched: bool
    operator_pubkey: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderCreateFailedEvent:
    """An order was not created."""

    event_type: ClassVar[str] = "CREATEFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderReplaceFailedEvent:
    """An order was not replaced: its old terms hold."""

    event_type: ClassVar[str] = "REPLACEFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderAmendFailedEvent:
    """An order was not amended: its old quantity holds."""

    event_type: ClassVar[str] = "AMENDFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderCancelFailedEvent:
    """An order was not canceled."""

    event_type: ClassVar[str] = "CANCELFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class UnknownOrderEvent:
    """An event that this version does not know, or one with a part that it does not know, as it came.

    Such a part is a trigger's condition or a time in force of a new kind. The event is not hashable: `payload` is a
    mapping.
    """

    event_type: ClassVar[str] = "UNKNOWN"

    #: The kind, as the server spells it.
    variant: str
    #: The fields; a number with a point or an exponent is a Decimal. Not in the repr: it may hold signatures.
    payload: Mapping[str, Any] = attrs.field(repr=False)


OrderEvent: TypeAlias = (
    OrderCreatedEvent
    | OrderUpdatedEvent
    | OrderCancelledEvent
    | OrderRemovedEvent
    | OrderReplacedEvent
    | OrderAmendedEvent
    | OrderTriggeredEvent
    | OrderCreateFailedEvent
    | OrderReplaceFailedEvent
    | OrderAmendFailedEvent
    | OrderCancelFailedEvent
    | UnknownOrderEvent
)
