"""One side of an order book: its price levels, and the orders that queue at each."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterator

from tplus_trio.models import Side
from tplus_trio.testing.matching.engine_events import LevelChanged, OrderState

__all__ = ["BookSide"]


class _Level:
    """The orders at one price, the oldest first: an OrderedDict loses one anywhere in constant time."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        self.orders: OrderedDict[str, OrderState] = OrderedDict()
        self.total = 0


class BookSide:
    """The resting limit orders of one side.

    Args:
        side: Which one.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        # Keys ascend to the best price, at the cheap end of a list: prices for bids, negated ones for asks.
        self._sign = 1 if side is Side.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, _Level] = {}
        self._totals_before: dict[int, int] = {}

    def levels(self) -> Iterator[tuple[int, int]]:
        """Each price and the total that rests there, best first."""
        for key in reversed(self._keys):
            price = key * self._sign
            yield price, self._levels[price].total

    def orders(self, worst: int | None = None) -> Iterator[OrderState]:
        """The orders in the order in which they trade, as far as a price and including it."""
        for price, _ in self.levels():
            if worst is not None and price * self._sign < worst * self._sign:
                return
            yield from self._levels[price].orders.values()

    def get(self, price: int, order_id: str) -> OrderState:
        """An order that rests here, as it is now."""
        return self._levels[price].orders[order_id]

    def put(self, state: OrderState) -> None:
        """Have an order as it is now. One that rests here keeps its place; a new one goes to the end."""
        price = state.order.limit.limit_price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = _Level()
            bisect.insort(self._keys, price * self._sign)
        before = level.orders.get(state.order_id)
        level.orders[state.order_id] = state
        self._set_total(price, level, level.total + state.remaining - (before.remaining if before else 0))

    def remove(self, state: OrderState) -> None:
        """Have an order no longer."""
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
        """The prices whose totals have changed since this was last asked, each with its total now."""
        before, self._totals_before = self._totals_before, {}
        now = {price: level.total if (level := self._levels.get(price)) else 0 for price in before}
        return [LevelChanged(self._side, price, total) for price, total in now.items() if total != before[price]]
