"""The state of an order and how it ended, by the field's names."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from tplus_trio.models import OrderStatus

__all__ = ["OrderEnd", "OrderState"]


class OrderState(Enum):
    """What is known of an order. The last five are ends: an order that is proved to have ended does not open again."""

    #: The request was sent, and nothing more is known.
    SENT = "sent"
    #: The service answered that it took the request. The book may still refuse the order.
    ACCEPTED = "accepted"
    #: The order waits for its trigger.
    WAITING = "waiting"
    #: The order rests in the book, or has just traded there.
    OPEN = "open"
    #: All of it traded. A rollback of a trade does not change the state.
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    #: The service or the book refused it, or it never took effect.
    REJECTED = "rejected"
    #: It ended for another reason, or the reason is not known.
    ENDED = "ended"

    @property
    def is_done(self) -> bool:
        """Whether the order has ended, or never began."""
        return self in _DONE


_DONE: Final = frozenset(
    {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED, OrderState.ENDED}
)

#: The state after an end by the reason that the service gives for it, in lower case.
_BY_REASON: Final = {
    "completed": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "cancelled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}
_BY_STATUS: Final = {
    OrderStatus.COMPLETED: OrderState.FILLED,
    OrderStatus.CANCELLED: OrderState.CANCELED,
}


@attrs.frozen
class OrderEnd:
    """How an order ended."""

    #: The service's word: the reason of `OrderRemovedEvent`, the status of a listing, or the code of a refusal.
    reason: str
    #: When it ended, in nanoseconds since the Unix epoch, by the service's clock; None if the service did not say.
    timestamp_ns: int | None = None


def state_of_reason(reason: str) -> OrderState:
    """Return the state of an order that was removed for a reason."""
    return _BY_REASON.get(reason.lower(), OrderState.ENDED)


def state_of_status(status: OrderStatus) -> OrderState:
    """Return the state of an order that a listing shows as done."""
    return _BY_STATUS.get(status, OrderState.ENDED)


def contradict(one: OrderState, other: OrderState) -> bool:
    """Return whether two statements of how an order ended cannot both be true. ENDED fits every end but FILLED."""
    if OrderState.ENDED in (one, other):
        return OrderState.FILLED in (one, other)
    return one is not other
