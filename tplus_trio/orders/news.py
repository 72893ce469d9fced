"""Who waits for news of orders: of any, so that the feeds are read at once, or of one, to look at it again."""

from __future__ import annotations

from typing import Final

import trio

from tplus_trio.orders.tracked_order import TrackedOrder

__all__ = ["Demand", "OrderNews"]


#: The most seconds between two reads of the feeds while nobody waits for what they bring. To wake up for each item
#: costs more than its decoding, and delays the answers that users wait for.
_PAUSE: Final = 0.05


class Demand:
    """When the feeds of a client's own orders are to be read: at once if somebody waits for what they bring.

    If nobody does, they are read after a pause or after a change of an order, and then between calls about orders: to
    read during a call would delay its answer.
    """

    def __init__(self) -> None:
        self._waiting: set[object] = set()
        self._calls = 0
        #: The tasks that read when somebody waits, and those that read when no call is under way.
        self._on_demand = trio.lowlevel.ParkingLot()
        self._between_calls = trio.lowlevel.ParkingLot()

    def call_begins(self) -> None:
        """Note a call about an order. It ends with `call_ends`."""
        self._calls += 1

    def call_ends(self, *, is_change: bool) -> None:
        """Note that a call has ended.

        Args:
            is_change: Whether it changed or canceled an order. Then the feeds are read at once, because the next call
                about the order needs their events.
        """
        self._calls -= 1
        if is_change:
            self._on_demand.unpark_all()
        if not self._calls:
            self._between_calls.unpark_all()

    def add(self, one: object) -> None:
        """Note that somebody waits."""
        self._waiting.add(one)
        self._on_demand.unpark_all()
        self._between_calls.unpark_all()

    def discard(self, one: object) -> None:
        """Note that somebody waits no longer."""
        self._waiting.discard(one)

    async def wait(self) -> None:
        """Wait until the feeds are to be read, at most twice the pause. Cancelling it leaves nothing behind."""
        if not self._waiting:
            with trio.move_on_after(_PAUSE):
                await self._on_demand.park()
        if not self._waiting and self._calls:
            with trio.move_on_after(_PAUSE):
                await self._between_calls.park()


class OrderNews:
    """Wakes tasks when something new is known of an order.

    Args:
        demand: Is told of the tasks that wait.
    """

    def __init__(self, demand: Demand) -> None:
        self._demand = demand
        self._lots: dict[TrackedOrder, trio.lowlevel.ParkingLot] = {}

    def changed(self, order: TrackedOrder) -> None:
        """Wake the tasks that wait for news of an order."""
        if (lot := self._lots.pop(order, None)) is not None:
            self._demand.discard(lot)
            lot.unpark_all()

    async def wait(self, order: TrackedOrder) -> None:
        """Wait for news of an order. Cancelling it leaves nothing behind."""
        lot = self._lots.get(order)
        if lot is None:
            lot = self._lots[order] = trio.lowlevel.ParkingLot()
            self._demand.add(lot)
        try:
            await lot.park()
        finally:
            if not lot and self._lots.get(order) is lot:
                del self._lots[order]
                self._demand.discard(lot)
