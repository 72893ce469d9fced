"""Changes of orders that the matching engine does not see: which are too late, and orders that wait."""

from __future__ import annotations

import attrs

from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.order_records import OrderRecord, Replacement
from tplus_trio.testing.matching.engine import Event, OrderState, Rejected, Replaced

__all__ = ["check_newer", "replace_waiting"]


def replace_waiting(record: OrderRecord, new: Replacement, now_ns: int) -> list[Event]:
    """Give an order that waits for its trigger new terms.

    Args:
        record: The order.
        new: The new terms.
        now_ns: The time.

    Returns:
        The event: ``Replaced``, or ``Rejected`` if the book would refuse these terms.

    Raises:
        Rejection: (400) The replacement has no trigger, or the order is a market order.
    """
    details = record.details
    if new.trigger is None or not isinstance(details, LimitOrderDetails):
        raise error(
            400,
            "INVALID_ORDER",
            "a limit order that waits for its trigger is replaced with a trigger, a market order not at all",
            details={"order_id": record.order_id},
        )
    details = attrs.evolve(details, limit_price=new.price, quantity=new.quantity)
    order = attrs.evolve(record.state.order, details=details)
    if (reason := record.listing.engine.invalid_reason(order, now_ns)) is not None:
        return [Rejected(record.key, reason)]
    record.pending_trigger = new.trigger
    return [Replaced(OrderState(order))]


def check_newer(record: OrderRecord, revision: int) -> None:
    """Refuse new terms that were made at or before the time of the present ones: a late request must not win.

    Args:
        record: The order.
        revision: The time at which the new terms were signed, in nanoseconds.

    Raises:
        Rejection: (409) The order was replaced or amended at this time or later.
    """
    if record.revision is not None and revision <= record.revision:
        raise error(
            409,
            "ORDER_REJECTED",
            f"timestamp_ns is not above the order's revision {record.revision}",
            details={"order_id": record.order_id},
        )
