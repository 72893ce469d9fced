"""Order events: after a loss, a snapshot of the user's orders is delivered before the events that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tplus_trio.models import OrderEvent, OrdersSnapshot, UserOrders
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.interface import FIRST_PAGE, Recovery

__all__ = ["OrdersUpdate"]

#: What comes out of an order stream.
OrdersUpdate: TypeAlias = OrderEvent | OrdersSnapshot


class OrdersRecovery(Recovery[OrdersUpdate]):
    """Requests the user's orders from REST after each loss, and holds events until REST has answered.

    Order events carry no sequence number, so the snapshot may contain the effect of an event that is delivered after
    it. No event is dropped.
    """

    def __init__(self, now_ns: Callable[[], int], stats: ConnectionCounts) -> None:
        super().__init__(now_ns, stats)
        self._held: list[OrdersUpdate] = []
        #: Events that were held at a further loss. They are delivered before the snapshot, which supersedes them.
        self._superseded: list[OrdersUpdate] = []

    @property
    def held(self) -> int:
        return len(self._held) + len(self._superseded)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        if self._begun:
            self._superseded += self._held
            self._held = []
            self.pending_request = FIRST_PAGE
            self._start_generation()

    def receive(self, items: Sequence[OrdersUpdate]) -> Sequence[OrdersUpdate]:
        if self.pending_request is None:
            return items
        self._held.extend(items)
        return ()

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[OrdersUpdate]:  # noqa: ARG002 - one page
        superseded, held = self._superseded, self._held
        self._superseded, self._held = [], []
        self.pending_request = None
        self._stats.resyncs += 1
        listing: UserOrders = answer
        is_complete = not listing.page.get("has_next_page") and not listing.bad
        return (*superseded, OrdersSnapshot(listing.orders, self._now_ns(), is_complete), *held)
