"""Where the subscription of a live book delivers."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import trio

from tplus_trio.book.local import LocalBook
from tplus_trio.models import OrderBook, OrderBookDiff
from tplus_trio.streams.recovery import Depth
from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["BookSink"]


class BookSink:
    """Applies the items of a depth feed to a book, in the step that delivers them."""

    def __init__(self) -> None:
        #: The book after the last item; None before the first snapshot.
        self.book: LocalBook | None = None
        #: What ended the feed, and its traceback; None while the feed goes on.
        self.closed: Exception | None = None
        self.trace: TracebackType | None = None
        #: Tasks that wait for a change of the book, or for the end.
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self._applied = 0

    async def put(self, items: Sequence[Depth]) -> None:
        """Apply items. Never waits: a book has room for every change."""
        self.put_nowait(items)

    def put_nowait(self, items: Sequence[Depth]) -> None:
        """Apply items and wake the tasks that wait for a change."""
        book = self.book
        for item in items:
            if isinstance(item, OrderBookDiff):
                assert book is not None  # noqa: S101 - for the type checker: a snapshot comes first
                book.apply(item)
            elif isinstance(item, OrderBook):
                self.book = book = LocalBook(item)
        self._applied += len(items)
        self.changed.unpark_all()

    def close(self, error: Exception) -> None:
        """Note what ended the feed and wake the tasks that wait."""
        self.closed, self.trace = error, error.__traceback__
        self.changed.unpark_all()

    def statistics(self) -> ConsumerStatistics:
        """Return the counts as they are now: items are applied at once, and ``changes()`` conflates."""
        return ConsumerStatistics(
            delivered=self._applied,
            dropped=0,
            merged=0,
            overflow="conflate",
            max_buffer_size=0,
            current_buffer_used=0,
            peak_buffer_used=0,
            tasks_waiting_send=0,
            tasks_waiting_receive=len(self.changed),
        )
