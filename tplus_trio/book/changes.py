"""Iterating over the states of a live book."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import trio

from tplus_trio.book.float_book import FloatBook
from tplus_trio.book.local import LocalBook
from tplus_trio.book.sink import BookSink
from tplus_trio.models import BookLost, PriceLevel
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.phased import Phased

__all__ = ["BookChange"]


@attrs.frozen
class BookChange:
    """The best levels of a book after a change. Prices are in quote units, quantities in base units."""

    #: The sequence number of the change.
    sequence_number: int
    #: None if there are no bids.
    best_bid: PriceLevel | None
    #: None if there are no asks.
    best_ask: PriceLevel | None


class Changes(AsyncIterator[BookChange | BookLost]):
    """Yields the newest state whenever there is a newer one, and each loss before the state that follows it.

    Args:
        sink: Where the states come from.
        life: Its phase tells whether they can be read.
    """

    def __init__(self, sink: BookSink, life: Phased) -> None:
        self._sink = sink
        self._life = life
        self._shown: tuple[FloatBook | LocalBook, int] | None = None
        self._losses_shown = sink.loss_count

    async def __anext__(self) -> BookChange | BookLost:
        sink = self._sink
        found = self._next()
        if found is not None or sink.closed is not None:
            # Otherwise the wait below is the checkpoint.
            await trio.lowlevel.checkpoint()
            found = self._next()  # there may be a newer one
        while found is None:
            if sink.closed is not None:
                raise sink.closed.with_traceback(sink.trace)
            await sink.changed.park()
            found = self._next()
        if isinstance(found, BookLost):
            self._losses_shown = sink.loss_count
            return found
        self._shown = (found, found.sequence_number)
        return BookChange(found.sequence_number, found.best_bid, found.best_ask)

    def _next(self) -> FloatBook | LocalBook | BookLost | None:
        """Return what is to be yielded next; None if nothing is new."""
        sink, shown = self._sink, self._shown
        if sink.loss_count != self._losses_shown and sink.lost is not None:
            return sink.lost
        book = sink.state.book if self._life.phase is Phase.LIVE else None
        if book is None or (shown is not None and shown[0] is book and shown[1] == book.sequence_number):
            return None
        return book
