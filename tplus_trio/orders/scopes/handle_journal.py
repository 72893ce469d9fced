"""What a scope writes to its journal about its handles."""

from __future__ import annotations

from tplus_trio.models import Order
from tplus_trio.orders.journal.file import OpenJournal
from tplus_trio.orders.order_facts import Change
from tplus_trio.orders.scopes.handle import OrderHandle

__all__ = ["HandleJournal"]


class HandleJournal:
    """Writes the orders of handles to a journal. Without a journal, or while none is open, it writes nothing."""

    def __init__(self) -> None:
        self._journal: OpenJournal | None = None
        #: What the journal calls the newest order of each handle.
        self._entries: dict[OrderHandle, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a journal."""
        return self._journal is not None

    def begin(self, journal: OpenJournal) -> None:
        """Write to a journal from now on."""
        self._journal = journal

    def end(self) -> None:
        """Write nothing any more."""
        self._journal = None
        self._entries.clear()

    async def write_order(self, order: Order, key: str | None = None, follows: OrderHandle | None = None) -> int | None:
        """Write that an order is about to be sent; see `OpenJournal.write_order`.

        Args:
            order: The order.
            key: Its key, if it has one.
            follows: The handle whose newest order it follows.

        Returns:
            What the journal calls the order.

        Raises:
            JournalNotWritten: it could not be written. Nothing may be sent.
        """
        if self._journal is None:
            return None
        before = None if follows is None else self._entries.get(follows)
        return await self._journal.write_order(order, key, before)

    def claimed(self, handle: OrderHandle, entry: int | None) -> None:
        """Note the handle of an order that was written."""
        if entry is not None:
            self._entries[handle] = entry

    async def write_change(self, handle: OrderHandle, change: Change) -> None:
        """Write that a change is about to be sent; see `OpenJournal.write_change`.

        Raises:
            JournalNotWritten: it could not be written. Nothing may be sent.
        """
        entry = self._entries.get(handle)
        if self._journal is not None and entry is not None:
            await self._journal.write_change(entry, change)

    def write_gone(self, handle: OrderHandle) -> None:
        """Write that the orders of a handle are proved gone."""
        entry = self._entries.pop(handle, None)
        if self._journal is not None and entry is not None:
            self._journal.write_gone(entry)
