"""Order events: after a loss, a snapshot of the user's orders is delivered before the events that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from tplus_trio.models import OrderEvent, OrderRemovedEvent, OrderResponse, OrdersSnapshot, UserOrders
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.interface import FIRST_PAGE, Recovery

__all__ = ["OrdersUpdate"]

#: What comes out of an order stream.
OrdersUpdate: TypeAlias = OrderEvent | OrdersSnapshot

#: The most orders that are remembered as removed: a listing lags behind the events by far fewer.
_REMOVED: Final = 10_000


class OrdersRecovery(Recovery[OrdersUpdate]):
    """Requests the user's orders from REST after each loss, and holds events until REST has answered.

    Order events carry no sequence number, so the snapshot may contain the effect of an event that is delivered after
    it. No event is dropped. An order of which an event said before that it was removed does not open again: a snapshot
    leaves it out.

    Args:
        now_ns: Returns the time in nanoseconds since the Unix epoch.
        stats: Where gaps and resyncs are counted.
        snapshot: Whether to request the orders at the first connection too.
    """

    def __init__(self, now_ns: Callable[[], int], stats: ConnectionCounts, *, snapshot: bool = False) -> None:
        super().__init__(now_ns, stats)
        self._held: list[OrdersUpdate] = []
        #: Events that were held at a further loss. They are delivered before the snapshot, which supersedes them.
        self._superseded: list[OrdersUpdate] = []
        #: When the orders were removed of which an event said so, by their ids, oldest event first.
        self._removed: dict[str, int] = {}
        #: Whether the next answer makes good a loss.
        self._is_resync = False
        if snapshot:
            self.pending_request = FIRST_PAGE

    @property
    def held(self) -> int:
        return len(self._held) + len(self._superseded)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        if self._begun:
            self._superseded += self._held
            self._held = []
            self._is_resync = True
            self.pending_request = FIRST_PAGE
            self._start_generation()

    def receive(self, items: Sequence[OrdersUpdate]) -> Sequence[OrdersUpdate]:
        for item in items:
            if isinstance(item, OrderRemovedEvent):
                self._removed[item.order_id] = item.timestamp_ns
        while len(self._removed) > _REMOVED:
            del self._removed[next(iter(self._removed))]
        if self.pending_request is None:
            return items
        self._held.extend(items)
        return ()

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[OrdersUpdate]:  # noqa: ARG002 - one page
        superseded, held = self._superseded, self._held
        self._superseded, self._held = [], []
        self.pending_request = None
        listing: UserOrders = answer
        self._stats.resyncs += self._is_resync
        self._is_resync = False
        # The events that are held follow the snapshot, and may remove its orders.
        later = {item.order_id for item in held if isinstance(item, OrderRemovedEvent)}
        # An order that ends while several pages are read moves others to pages that were read already.
        has_moved = bool(later) and bool(listing.page.get("page"))
        is_complete = not listing.page.get("has_next_page") and not listing.bad and not has_moved
        orders = tuple(order for order in listing.orders if order.order_id in later or not self._is_stale(order))
        return (*superseded, OrdersSnapshot(orders, self._now_ns(), is_complete, listing.open_only), *held)

    def _is_stale(self, order: OrderResponse) -> bool:
        """Return whether an order is listed as open although it was removed. Its id may belong to a newer order."""
        removed_ns = self._removed.get(order.order_id)
        return removed_ns is not None and order.is_open and order.timestamp_ns <= removed_ns
