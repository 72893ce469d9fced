"""A book that keeps itself in step with the exchange."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from tplus_trio.book.changes import BookChange, Changes
from tplus_trio.book.float_book import FloatBook
from tplus_trio.book.local import LocalBook
from tplus_trio.book.reader import BookReader
from tplus_trio.book.session import BookSession
from tplus_trio.book.side import BookSide
from tplus_trio.book.sink import BookSink
from tplus_trio.errors import BookNotEntered, BookNotSynced
from tplus_trio.models import AssetIdentifier, BookLost
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.recovery import Depth
from tplus_trio.streams.stats import StreamState
from tplus_trio.streams.stream import Supervised
from tplus_trio.streams.while_live import check_silence

__all__ = ["LiveBook"]


class LiveBook(Supervised, BookReader[BookSide]):
    """A market's order book, kept in step with the exchange while its context lasts.

    Every read is of a book that is in sync. While it is not (before the first snapshot, from the moment that a loss is
    noticed until it is recovered, and after the end), every read raises `BookNotSynced`. Before the book is entered,
    every read raises `BookNotEntered`.
    """

    def __init__(
        self,
        asset_id: AssetIdentifier,
        sink: BookSink,
        consumer: Consumer[Depth],
        client_scope: ClientScope,
    ) -> None:
        super().__init__(consumer, client_scope)
        self.asset_id = asset_id
        self._sink = sink

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        async with self._client_scope.running(self._consumer):
            yield

    def _current(self) -> FloatBook | LocalBook:
        book = self._sink.state.book
        if self._consumer.phase is not Phase.LIVE or book is None:
            self._check_entered()
            raise self._not_synced()
        return book

    def _not_synced(self) -> BookNotSynced:
        """Make the exception that says why the book cannot be read now."""
        error = self._consumer.last_error
        failure = BookNotSynced(self.asset_id, self._consumer.state.value, str(error or ""))
        failure.__cause__ = error
        failure.book_id = id(self)
        return failure

    @property
    def _bids(self) -> BookSide:  # type: ignore[override]  # which may raise
        return self._current()._bids

    @property
    def _asks(self) -> BookSide:  # type: ignore[override]  # likewise
        return self._current()._asks

    @property
    def _sequence_number(self) -> int:  # type: ignore[override]  # likewise
        return self._current()._sequence_number

    @property
    def is_synced(self) -> bool:
        """Whether the book can be read."""
        return self._consumer.phase is Phase.LIVE

    async def wait_synced(self) -> None:
        """Wait until the book can be read. Cancelling the wait leaves nothing behind.

        Raises:
            TplusError: its stream failed for good.
            trio.ClosedResourceError: it was closed.
            BookNotEntered: it was not entered.
        """
        await trio.lowlevel.checkpoint()
        self._check_entered()
        await self._consumer.wait_for(StreamState.LIVE)

    def _check_entered(self) -> None:
        if self._entered is None and self._consumer.phase is not Phase.CLOSED:
            raise BookNotEntered(self.asset_id)

    def changes(self) -> AsyncIterator[BookChange | BookLost]:
        """Iterate over the states of the book: the present one, then the newest one whenever there is a newer one.

        A slow consumer misses states in between, never the latest. When sync is lost, the iteration yields a `BookLost`
        at that moment, and goes on with the next state once the book is in sync again. It raises what ended the book's
        stream. Cancelling a step of it loses nothing.

        Raises:
            BookNotEntered: the book was not entered.
        """
        self._check_entered()
        return Changes(self._sink, self._consumer)

    def while_synced(self, max_silence: float | None = None) -> BookSession:
        """Return a context whose body runs only while the book is in sync.

        Entering it waits until the book is in sync. In the step in which sync is lost, the body is cancelled: at its
        next checkpoint that is not shielded. The block then ends normally, and ``lost`` of the context says what
        happened. A book that is in sync again does not revive the block: ask for a new one, in a loop.

        A `BookNotSynced` of this book that the body raises after the loss ends the block likewise. All other exceptions
        of the body leave unchanged, also beside a loss; an exception group loses its `trio.Cancelled` only.

        Args:
            max_silence: Seconds, more than 0. After so long without a byte from the service the connection is pinged,
                and after as long again without an answer it is given up, for all who share it. So a price is never
                older than twice this time. None leaves that to ``ping_interval`` and ``ping_timeout`` (20 s together by
                default).

        Raises:
            BookNotEntered: the book was not entered.
            TypeError, ValueError: ``max_silence`` is not legal.
            TplusError: on entering: the book's stream failed for good.
            trio.ClosedResourceError: on entering: the book was closed.
        """
        self._check_entered()
        return BookSession(self, check_silence(max_silence))

    async def wait_lost(self) -> BookLost:
        """Wait until the book is out of sync after it was in sync. Cancelling the wait leaves nothing behind.

        Returns:
            The loss: at once if the book is out of sync now and was in sync before.

        Raises:
            BookNotEntered: the book was not entered.
            TplusError: its stream failed for good before it was ever in sync.
            trio.ClosedResourceError: it was closed before it was ever in sync.
        """
        await trio.lowlevel.checkpoint()
        self._check_entered()
        sink, seen = self._sink, self._sink.loss_count
        while (lost := sink.lost) is None or (self.is_synced and sink.loss_count == seen):
            if sink.closed is not None:
                raise sink.closed.with_traceback(sink.trace)
            await sink.changed.park()
        return lost

    async def wait_for(self, predicate: Callable[[BookChange], bool]) -> BookChange:
        """Wait for the first state for which a condition holds. Cancelling the wait leaves nothing behind.

        Args:
            predicate: Is called with the present state and then with those that `changes` would yield; not with losses.

        Returns:
            The state.

        Raises:
            BookNotEntered: the book was not entered.
            TplusError: its stream failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await trio.lowlevel.checkpoint()
        async for change in self.changes():
            if isinstance(change, BookChange) and predicate(change):
                return change
        raise AssertionError  # the iteration does not end


def open_live_book(asset_id: AssetIdentifier, opening: Opening[Depth], client_scope: ClientScope) -> LiveBook:
    """Make a live book. Nothing is started."""
    sink = BookSink()
    consumer = Consumer(opening, sink)
    consumer.losses.add(sink.lose)
    return LiveBook(asset_id, sink, consumer, client_scope)
