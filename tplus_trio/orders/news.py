"""Who waits for news of orders: of any, so that the feeds are read at once, or of one, to look at it again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import trio

from tplus_trio.orders.tracked_order import TrackedOrder

__all__ = ["Demand", "OrderNews"]


class Demand:
    """When the feeds of a client's own orders are to be read: at once if somebody waits for what they bring.

    If nobody does, the time after a call about an order is the best: to read during the call would delay its answer.
    """

    def __init__(self) -> None:
        self._waiting: set[object] = set()
        self._calls = 0
        self._readers = trio.lowlevel.ParkingLot()

    @contextmanager
    def call(self) -> Generator[None]:
        """Note a call about an order, for as long as the block lasts."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._readers.unpark_all()

    def add(self, one: object) -> None:
        """Note that somebody waits."""
        self._waiting.add(one)
        self._readers.unpark_all()

    def discard(self, one: object) -> None:
        """Note that somebody waits no longer."""
        self._waiting.discard(one)

    async def wait(self) -> None:
        """Wait until the feeds are to be read. Cancelling it leaves nothing behind."""
        if not self._waiting:
            await self._readers.park()


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
