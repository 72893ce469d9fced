"""Changes of orders that the matching engine does not see: which are too late, and orders that wait."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_state import Listing
from tplus_trio.testing.exchange.order_records import OrderRecord, Replacement, Trigger
from tplus_trio.testing.matching.engine import Event, OrderState, Rejected, Replaced
from tplus_trio.testing.matching.plan import rescaled, rescaled_units

__all__ = ["check_newer", "replace_waiting", "rescale_orders"]


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


def rescale_orders(
    listing: Listing, waiting: Sequence[OrderRecord], price_shift: int, quantity_shift: int
) -> list[OrderState]:
    """Express a market's open orders in other units.

    Args:
        listing: The market.
        waiting: Its orders that wait for their trigger.
        price_shift: The number of decimals that prices gain; less than 0 if they lose some.
        quantity_shift: The same for quantities.

    Returns:
        The open orders in the new units.

    Raises:
        ValueError: An order cannot be expressed with so few decimals; nothing is changed.
    """
    states = [rescaled(record.state, price_shift, quantity_shift) for record in waiting]
    triggers: list[Trigger | None] = []
    for record in waiting:
        trigger = record.pending_trigger
        price = 0 if trigger is None else rescaled_units(trigger.price, price_shift)
        triggers.append(trigger and attrs.evolve(trigger, price=price))
    resting = listing.engine.rescale(price_shift, quantity_shift)
    for record, trigger in zip(waiting, triggers, strict=True):
        record.pending_trigger = trigger
    return [*resting, *states]
