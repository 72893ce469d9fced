"""One side of an order book: its price levels, and the queue of orders at each."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterator

from tplus_trio.models import Side
from tplus_trio.testing.matching.engine_events import LevelChanged, OrderState

__all__ = ["BookSide"]


class _Level:
    """The orders at one price, oldest first. An OrderedDict removes any order in constant time."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        self.orders: OrderedDict[str, OrderState] = OrderedDict()
        self.total = 0


class BookSide:
    """The resting limit orders of one side.

    Args:
        side: Buy or sell.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        # A bid's price, or an ask's negated price: the best key is last, where a list changes fastest.
        self._sign = 1 if side is Side.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, _Level] = {}
        self._totals_before: dict[int, int] = {}

    def levels(self) -> Iterator[tuple[int, int]]:
        """Yield each price and the total quantity that rests there, best first."""
        for key in reversed(self._keys):
            price = key * self._sign
            yield price, self._levels[price].total

    def orders(self, worst: int | None = None) -> Iterator[OrderState]:
        """Yield the orders in the order in which they trade, up to and including the price ``worst``; None is all."""
        for price, _ in self.levels():
            if worst is not None and price * self._sign < worst * self._sign:
                return
            yield from self._levels[price].orders.values()

    def get(self, price: int, order_id: str) -> OrderState:
        """Return the state of an order that rests here."""
        return self._levels[price].orders[order_id]

    def put(self, state: OrderState) -> None:
        """Store the state of an order. An order that rests here keeps its place; a new one goes to the end."""
        price = state.order.limit.limit_price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = _Level()
            bisect.insort(self._keys, price * self._sign)
        before = level.orders.get(state.order_id)
        level.orders[state.order_id] = state
        self._set_total(price, level, level.total + state.remaining - (before.remaining if before else 0))

    def remove(self, state: OrderState) -> None:
        """Remove an order."""
        price = state.order.limit.limit_price
        level = self._levels[price]
        before = level.orders.pop(state.order_id)
        self._set_total(price, level, level.total - before.remaining)
        if not level.orders:
            del self._levels[price]
            del self._keys[bisect.bisect_left(self._keys, price * self._sign)]

    def _set_total(self, price: int, level: _Level, total: int) -> None:
        self._totals_before.setdefault(price, level.total)
        level.total = total

    def take_changes(self) -> list[LevelChanged]:
        """Return the prices whose totals changed since the last call, each with its new total."""
        before, self._totals_before = self._totals_before, {}
        now = {price: level.total if (level := self._levels.get(price)) else 0 for price in before}
        return [LevelChanged(self._side, price, total) for price, total in now.items() if total != before[price]]
