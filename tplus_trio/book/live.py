"""A book that keeps itself in step with the exchange."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from tplus_trio.book.local import LocalBook
from tplus_trio.book.reader import BookReader
from tplus_trio.book.sink import BookSink
from tplus_trio.book.sorted_levels import SortedLevels
from tplus_trio.errors import BookNotEntered, BookNotSynced
from tplus_trio.models import AssetIdentifier, PriceLevel
from tplus_trio.service import Service
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.recovery import Depth
from tplus_trio.streams.stats import StreamState
from tplus_trio.streams.stream import ClientScope, Supervised
from tplus_trio.streams.subscription import Subscription
from tplus_trio.transport.websocket import WebSocketLimits

__all__ = ["BookChange", "LiveBook"]


@attrs.frozen
class BookChange:
    """The best levels of a book after a change. Prices are in quote units, quantities in base units."""

    #: The sequence number of the change.
    sequence_number: int
    #: None if there are no bids.
    best_bid: PriceLevel | None
    #: None if there are no asks.
    best_ask: PriceLevel | None


class LiveBook(Supervised, BookReader):
    """A market's order book, kept in step with the exchange while its context lasts.

    Every read is of a book that is in sync. While it is not (before the first snapshot, from the moment that a loss is
    noticed until it is recovered, and after the end), every read raises `BookNotSynced`. Before the book is entered,
    every read raises `BookNotEntered`.
    """

    def __init__(
        self,
        asset_id: AssetIdentifier,
        sink: BookSink,
        subscription: Subscription[Depth],
        client_scope: ClientScope,
    ) -> None:
        super().__init__(subscription, client_scope)
        self.asset_id = asset_id
        self._sink = sink

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        async with self._client_scope.running(self._subscription):
            yield

    def _current(self) -> LocalBook:
        book = self._sink.book
        if self._session.phase is not Phase.LIVE or book is None:
            self._check_entered()
            error = self._session.last_error
            raise BookNotSynced(self.asset_id, self._session.state.value, str(error or "")) from error
        return book

    @property
    def _bids(self) -> SortedLevels:  # type: ignore[override]  # which may raise
        return self._current()._bids

    @property
    def _asks(self) -> SortedLevels:  # type: ignore[override]  # likewise
        return self._current()._asks

    @property
    def _sequence_number(self) -> int:  # type: ignore[override]  # likewise
        return self._current()._sequence_number

    @property
    def is_synced(self) -> bool:
        """Whether the book can be read."""
        return self._session.phase is Phase.LIVE

    async def wait_synced(self) -> None:
        """Wait until the book can be read. Cancelling the wait leaves nothing behind.

        Raises:
            TplusError: its stream failed for good.
            trio.ClosedResourceError: it was closed.
            BookNotEntered: nobody has entered it.
        """
        await trio.lowlevel.checkpoint()
        self._check_entered()
        await self._session.wait_for(StreamState.LIVE)

    def _check_entered(self) -> None:
        if self._entered is None and self._session.phase is not Phase.CLOSED:
            raise BookNotEntered(self.asset_id)

    def changes(self) -> AsyncIterator[BookChange]:
        """Iterate over the states of the book: the present one, then the newest one whenever there is a newer one.

        A slow consumer misses states in between, never the latest. While the book is out of sync, nothing comes. The
        iteration raises what ended the book's stream. Cancelling a step of it loses nothing.

        Raises:
            BookNotEntered: nobody has entered the book.
        """
        self._check_entered()
        return _Changes(self, self._sink)


class _Changes(AsyncIterator[BookChange]):
    def __init__(self, book: LiveBook, sink: BookSink) -> None:
        self._book = book
        self._sink = sink
        self._shown: tuple[LocalBook, int] | None = None

    def _has_news(self) -> bool:
        sink, shown = self._sink, self._shown
        if sink.closed is not None:
            return True
        book = sink.book if self._book.is_synced else None
        return book is not None and (shown is None or shown[0] is not book or shown[1] != book.sequence_number)

    async def __anext__(self) -> BookChange:
        sink = self._sink
        if self._has_news():
            # If there is no newer state, the wait below is the checkpoint.
            await trio.lowlevel.checkpoint()
        while not self._has_news():
            await sink.changed.park()
        if sink.closed is not None:
            raise sink.closed.with_traceback(sink.trace)
        book = sink.book
        assert book is not None  # noqa: S101 - for the type checker: `_has_news` saw it
        self._shown = (book, book.sequence_number)
        return BookChange(book.sequence_number, book.best_bid, book.best_ask)


def open_live_book(
    asset_id: AssetIdentifier,
    feed: Feed[Depth],
    service: Service,
    client_scope: ClientScope,
    *,
    restart: RestartPolicy | None,
    limits: WebSocketLimits,
    draw: Callable[[], float],
) -> LiveBook:
    """Make a live book. Nothing is started."""
    sink = BookSink()
    subscription: Subscription[Depth] = Subscription(
        feed,
        service,
        sink,
        client_scope.decode_limiter,
        restart=restart,
        limits=limits,
        stats=ConnectionCounts(),
        draw=draw,
    )
    return LiveBook(asset_id, sink, subscription, client_scope)
