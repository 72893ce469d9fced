"""The orders of the exchange, by user and id; of the ended ones, the newest 50,000."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from tplus_trio.testing.exchange.order_records import OrderRecord, order_key

__all__ = ["OrderStore"]

#: The number of ended orders that are kept.
_MAX_DONE: Final = 50_000


class OrderStore:
    """All orders that the exchange knows."""

    def __init__(self) -> None:
        #: The orders by their keys, which name user and id.
        self.by_key: dict[str, OrderRecord] = {}
        self._by_user: dict[str, dict[str, OrderRecord]] = {}
        #: Ended orders, the one that ended first at the left.
        self._done: deque[OrderRecord] = deque()

    def of(self, user: str) -> Sequence[OrderRecord]:
        """Return all orders of a user, oldest first."""
        return tuple(self._by_user.get(user, {}).values())

    def knows(self, user: str) -> bool:
        """Return whether a user has ever placed an order."""
        return user in self._by_user

    def get(self, user: str, order_id: str) -> OrderRecord | None:
        """Return an order, open or not; None if it is not known, or was forgotten."""
        return self.by_key.get(order_key(user, order_id))

    def add(self, record: OrderRecord) -> OrderRecord | None:
        """Add a new order. Return the ended order in whose place it comes, if its id was used before."""
        former = self.by_key.get(record.key)
        if former is not None:
            self._done.remove(former)
        self.by_key[record.key] = self._by_user.setdefault(record.user, {})[record.key] = record
        return former

    def accepted(self, record: OrderRecord, former: OrderRecord | None) -> None:
        """Note that an order that was added is accepted: it is the newest one of its user."""
        if former is not None:
            orders = self._by_user[record.user]
            orders[record.key] = orders.pop(record.key)

    def refused(self, record: OrderRecord, former: OrderRecord | None) -> None:
        """Take out an order that was added and is refused. Its id may be used again, or is that of the former order."""
        if former is None:
            self.forget(record)
        else:
            self.by_key[record.key] = self._by_user[record.user][record.key] = former
            self._done.append(former)

    def ended(self, record: OrderRecord) -> None:
        """Note that an order has ended. If too many have, the one that ended first is forgotten."""
        self._done.append(record)
        if len(self._done) > _MAX_DONE:
            self.forget(self._done.popleft())

    def forget(self, record: OrderRecord) -> None:
        """Forget an order."""
        del self.by_key[record.key]
        del self._by_user[record.user][record.key]
