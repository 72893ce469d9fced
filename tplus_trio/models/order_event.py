"""Events of a user's orders (feed ``/orders``).

Prices and quantities are integers in the book's units, amounts are price units times quantity units. Fields that end in
``_ns`` are nanoseconds since the Unix epoch, UTC. ``user_id`` is a user's public key, ``operator_pubkey`` that of the
operator of the order service.

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
    """The book took an order. The event is hashable if the overrides are; JSON objects are not.

    The overrides and their signature are kept as the service sent them.
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
        """The id of the order."""
        return self.user_order.order_id


@attrs.frozen(weakref_slot=False)
class OrderUpdatedEvent:
    """An order traded. Only older servers send this; newer ones report trades on the user-trade feed."""

    event_type: ClassVar[str] = "UPDATED"

    order_id: str
    status: str
    #: In quantity units of the book.
    filled_quantity: int = attrs.field(validator=units)
    #: In quantity units of the book.
    remaining_quantity: int = attrs.field(validator=units)
    update_timestamp_ns: int


@attrs.frozen(weakref_slot=False)
class OrderCancelledEvent:
    """The service canceled an order."""

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
    """An order left the book and will not return."""

    event_type: ClassVar[str] = "REMOVED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    timestamp_ns: int
    operator_pubkey: str | None = None
    #: ``"Completed"``, ``"Canceled"``, ``"Expired"``, ``"Rejected"`` or ``"SelfTradePrevented"``; others are kept.
    reason: str
    #: The quantity traded, confirmed or not, in quantity units of the book.
    filled_quantity: int = attrs.field(default=0, validator=units)
    #: The quantity whose trades are confirmed, in quantity units of the book.
    confirmed_quantity: int = attrs.field(default=0, validator=units)
    #: The amount traded, confirmed or not, in price units times quantity units.
    filled_amount: int = attrs.field(default=0, validator=units)
    #: The amount whose trades are confirmed, in price units times quantity units.
    confirmed_amount: int = attrs.field(default=0, validator=units)
    #: The market's decimals, which define the quantity unit.
    book_quantity_decimals: int = 0
    initial_receive_timestamp_ns: int | None = None


@attrs.frozen(weakref_slot=False)
class OrderReplacedEvent:
    """The book gave an order new terms."""

    event_type: ClassVar[str] = "REPLACED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    #: The new total over the order's life, filled part included, in quantity units of the book.
    new_quantity: int = attrs.field(validator=units)
    #: The new limit, in price units of the book.
    new_price: int = attrs.field(validator=units)
    timestamp_ns: int | None = None
    #: The time of the replacement, in nanoseconds; the next amendment names it.
    authorization_revision: int = 0
    operator_pubkey: str | None = None
    initial_receive_timestamp_ns: int | None = None


@attrs.frozen(weakref_slot=False)
class OrderAmendedEvent:
    """The book reduced the quantity of an order."""

    event_type: ClassVar[str] = "AMENDED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    #: The new total over the order's life, filled part included, in quantity units of the book.
    new_quantity: int = attrs.field(validator=units)
    #: The part that is not filled, in quantity units of the book.
    remaining_quantity: int = attrs.field(validator=units)
    #: The time of the amendment, in nanoseconds; the next amendment names it.
    authorization_revision: int = 0
    #: The market's decimals, which define the quantity unit.
    book_quantity_decimals: int = 0
    timestamp_ns: int | None = None
    operator_pubkey: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderTriggeredEvent:
    """The condition of a trigger was met, and its order became active."""

    event_type: ClassVar[str] = "TRIGGERED"

    order_id: str
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    user_id: str
    timestamp_ns: int
    #: The quantity that became active, in quantity units of the book.
    quantity: int = attrs.field(validator=units)
    trigger_touched: bool
    operator_pubkey: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderCreateFailedEvent:
    """The book refused a new order."""

    event_type: ClassVar[str] = "CREATEFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderReplaceFailedEvent:
    """The book refused a replacement. The order keeps its old terms."""

    event_type: ClassVar[str] = "REPLACEFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderAmendFailedEvent:
    """The book refused an amendment. The order keeps its old quantity."""

    event_type: ClassVar[str] = "AMENDFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class OrderCancelFailedEvent:
    """The book refused a cancellation."""

    event_type: ClassVar[str] = "CANCELFAILED"

    order_id: str
    user_id: str
    reason: str | None = None


@attrs.frozen(weakref_slot=False)
class UnknownOrderEvent:
    """An event that this version cannot decode: of an unknown variant, or with a part of an unknown variant.

    Such a part is a trigger's condition or a time in force of a new kind. The event is not hashable, because `payload`
    is a mapping.
    """

    event_type: ClassVar[str] = "UNKNOWN"

    #: The name of the variant as the service spells it.
    variant: str
    #: The fields as plain JSON objects, with a number that has a point or an exponent as a Decimal. They are not in the
    #: repr, because they may hold signatures.
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
