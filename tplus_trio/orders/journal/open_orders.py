"""Which orders a journal says may rest: a fold over its records. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import attrs

from tplus_trio.models import Order
from tplus_trio.orders.journal.lines import ChangeSent, OrderSent, Record
from tplus_trio.orders.order_facts import Change

__all__ = ["OpenOrders", "WrittenOrder"]

#: How many changes of an order are kept: the newest, as the tracker keeps them.
_MOST_CHANGES: Final = 256


def _changes() -> deque[Change]:
    return deque(maxlen=_MOST_CHANGES)


@attrs.frozen(eq=False)
class WrittenOrder:
    """An order that may have been sent, and that is not known to have gone."""

    entry: int
    order: Order
    #: The key of an order of `OrderScope.keep`; None for other orders.
    key: str | None
    #: The changes that may have been sent, oldest first.
    changes: deque[Change] = attrs.field(factory=_changes)


class OpenOrders:
    """The orders in a journal that may still rest, oldest first."""

    def __init__(self) -> None:
        self._orders: dict[int, WrittenOrder] = {}
        #: The entry of the next order.
        self.next_entry: int = 1

    def __iter__(self) -> Iterator[WrittenOrder]:
        return iter(tuple(self._orders.values()))

    def __contains__(self, entry: int) -> bool:
        return entry in self._orders

    def add(self, record: Record) -> None:
        """Add a record.

        Raises:
            ValueError: it does not fit those before it; the message says why.
        """
        if isinstance(record, OrderSent):
            if record.entry < self.next_entry:
                msg = f"entry {record.entry} comes after entry {self.next_entry - 1}"
                raise ValueError(msg)
            if record.follows is not None:
                self._known(record.follows)
                del self._orders[record.follows]
            self._orders[record.entry] = WrittenOrder(record.entry, record.order, record.key)
            self.next_entry = record.entry + 1
            return
        written = self._known(record.entry)
        if isinstance(record, ChangeSent):
            if record.change.order_id != written.order.order_id:
                msg = f"it changes order {record.change.order_id!r}, and entry {record.entry} is another one"
                raise ValueError(msg)
            written.changes.append(record.change)
        else:
            del self._orders[record.entry]

    def records(self) -> Iterator[Record]:
        """Yield records that say the same, and no more."""
        for written in self:
            yield OrderSent(written.entry, written.order, written.key)
            for change in written.changes:
                yield ChangeSent(written.entry, change)

    def _known(self, entry: int) -> WrittenOrder:
        if (written := self._orders.get(entry)) is None:
            msg = f"it is about entry {entry}, which is no order that may rest"
            raise ValueError(msg)
        return written
