"""Streams as consumers see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakMethod

import attrs
import trio

from tplus_trio.models import StreamLost
from tplus_trio.scopes import Scoped
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.drop_marker import DropMarker
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.overflow import Overflow, OverflowRule, check_overflow, make_rule
from tplus_trio.streams.stats import StreamState, StreamStatistics, StreamStats
from tplus_trio.streams.while_live import WhileLive, check_silence

__all__ = ["Stream"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StreamFinalizer:
    """Ends a bare stream when it is dropped.

    The iterator holds it. The task of its feed does not, or it would never be dropped.
    """

    __slots__ = ("_consumer", "_token")

    def __init__(self, consumer: Consumer[Any]) -> None:
        self._consumer = consumer
        self._token = trio.lowlevel.current_trio_token()

    def __del__(self) -> None:
        # Runs where the garbage is collected: perhaps in another thread, or after the end of the run.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._consumer.cancel)


class Supervised(Scoped):
    """What a stream and a live book have in common: a consumer that one can look at and give orders to."""

    def __init__(self, consumer: Consumer[Any], client_scope: ClientScope) -> None:
        self._consumer = consumer
        self._client_scope = client_scope
        client_scope.add_unstarted(consumer)

    @property
    def state(self) -> StreamState:
        """Where the stream is in its life."""
        return self._consumer.state

    @property
    def stats(self) -> StreamStats:
        """A copy of the stream's counts as they are now."""
        statistics = self.statistics()
        dropped = statistics.consumer.dropped + statistics.consumer.merged
        return StreamStats(**attrs.asdict(statistics.connection), dropped=dropped)

    def statistics(self) -> StreamStatistics:
        """Return the counts of the connection and of the consumer as they are now."""
        return self._consumer.statistics()

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended the stream; None if there is none."""
        return self._consumer.last_error

    def __repr__(self) -> str:
        error = self.last_error
        failure = "" if error is None else f": {error!r}"
        return f"<{type(self).__name__} {self._consumer.name} {self.state.value}{failure}>"

    def reconnect(self) -> None:
        """Drop the connection and make a new one now, or end the wait before the next attempt.

        The stream recovers what it misses meanwhile, as after any loss. On a stream that has not been started, that is
        closing or that has ended, nothing happens.
        """
        self._consumer.reconnect()

    def resync(self) -> None:
        """Recover as if something had been missed, over the connection that there is.

        A depth stream yields a new `OrderBook` and a live book starts again from one; a trade or candle stream asks
        REST; an order stream yields an `OrdersSnapshot`. Without a connection nothing happens, because each connection
        begins like that.
        """
        self._consumer.resync()


class Stream(Supervised, trio.abc.ReceiveChannel[T_co]):
    """A feed, as an asynchronous iterable. Nothing connects until it is entered or iterated.

    Entered with ``async with``, its task lives in a nursery of its own around the block. Iterated bare, its task lives
    in the client's nursery, and ends when the loop is left, however it is left.

    The stream delivers items in the order of the exchange. The iteration raises a failure that the restart policy does
    not cover, after the items that came before it. Cancelling a task that waits for an item loses no item.
    """

    def __init__(self, consumer: Consumer[Any], buffer: Buffer[Any], client_scope: ClientScope) -> None:
        super().__init__(consumer, client_scope)
        self._buffer: Buffer[T_co] = buffer
        self._started = False
        self._finalizer: StreamFinalizer | None = None

    async def wait_live(self) -> None:
        """Wait until the stream is connected and nothing is missing.

        The stream need not be entered yet: one task may wait for a stream that another task enters. Cancelling the wait
        changes nothing.

        Raises:
            TplusError: the stream failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await self._consumer.wait_for(StreamState.LIVE)

    def while_live(self, *, max_silence: float | None = None) -> WhileLive[StreamLost]:
        """Return a context whose body runs only while the stream is live.

        Entering it waits until the stream is live, also for a stream that nobody has entered yet. In the step in which
        the stream is no longer live, the body is cancelled: at its next checkpoint that is not shielded. The block then
        ends normally, and its ``lost`` says what happened. A stream that is live again does not revive it: ask for a
        new one, in a loop. Exceptions of the body leave unchanged.

        Args:
            max_silence: Seconds, more than 0. After so long without a byte the connection is pinged, and after as long
                again without an answer it is given up, for all who share it. None leaves that to ``ping_interval`` and
                ``ping_timeout``.

        Raises:
            TypeError, ValueError: ``max_silence`` is not legal.
            TplusError: on entering: the stream failed for good.
            trio.ClosedResourceError: on entering: it was closed.
        """
        consumer = self._consumer
        return WhileLive(self.wait_live, consumer.losses, consumer.silence, check_silence(max_silence))

    # Lifetime.

    def _claim(self) -> None:
        if self._started:
            msg = "a stream is entered or iterated bare, once; ask the client for a new one"
            raise RuntimeError(msg)
        self._started = True

    def _start_bare(self) -> None:
        """Start in the client's nursery, unless it runs already."""
        if not self._started:
            self._client_scope.start_bare(self._consumer)
            self._claim()
            self._finalizer = StreamFinalizer(self._consumer)

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        self._claim()
        async with self._client_scope.running(self._consumer):
            try:
                yield
            finally:
                self._end()

    def _end(self) -> None:
        """Deliver no more items."""
        self._buffer.close(trio.ClosedResourceError("the stream was closed"))
        self._buffer.clear()

    async def aclose(self) -> None:
        """End the stream in order, or at once if cancelled. Items that were not received are dropped."""
        self._end()
        self._started = True
        await self._consumer.close()

    # Items.

    async def receive(self) -> T_co:
        """Wait for the next item. If it is cancelled, it has taken no item.

        Raises:
            TplusError: the stream failed for good.
            trio.ClosedResourceError: the stream or its client was closed.
        """
        self._start_bare()
        if len(self._buffer):
            # The buffer's step only checks for cancellation if items wait. This call is a full checkpoint.
            await trio.lowlevel.checkpoint()
        return await anext(self._buffer)

    def __anext__(self) -> Coroutine[Any, Any, T_co]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # A caller that wants the first item only, ``await anext(client.stream_x())``, may hold just this coroutine.
        return self._buffer.__anext__() if self._started else self.receive()

    def __aiter__(self) -> AsyncIterator[T_co]:  # type: ignore[override]  # not itself
        """Iterate. Outside the stream's context, the stream ends when the iterator is dropped."""
        if not self._started:
            return _Loop(self)
        return self._buffer if self._finalizer is None else self


class _Loop(trio.abc.ReceiveChannel[T_co]):
    """The iterator of a stream that was not entered. Only the loop holds it, and the stream ends with it."""

    def __init__(self, stream: Stream[T_co]) -> None:
        self._stream = stream
        self._finalizer: StreamFinalizer | None = None

    async def receive(self) -> T_co:
        return await self.__anext__()

    def __anext__(self) -> Coroutine[Any, Any, T_co]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._first() if self._finalizer is None else self._stream._buffer.__anext__()

    async def _first(self) -> T_co:
        """Start the stream and return the first item. The coroutine holds the iterator: the caller may hold only it."""
        stream = self._stream
        stream._start_bare()
        self._finalizer, stream._finalizer = stream._finalizer, None
        return await anext(stream._buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()


def open_stream(
    opening: Opening[T],
    client_scope: ClientScope,
    *,
    buffer: int,
    overflow: Overflow,
) -> Stream[T]:
    """Make a stream. Nothing is started.

    Raises:
        TypeError, ValueError: ``buffer`` or ``overflow`` is not legal for this feed.
    """
    feed, service = opening.feed, opening.service
    check_overflow(overflow, buffer, can_conflate=feed.conflate is not None)
    on_overflow = partial(service.observer.overflow, feed.path, overflow)
    marker = DropMarker(service.now_ns, on_overflow)
    rule: OverflowRule[Any] = make_rule(
        overflow,
        buffer,
        conflate=feed.conflate,
        finish=feed.finish,
        mark_drops=marker.mark,
        is_snapshot=feed.is_snapshot,
        on_overflow=on_overflow,
    )
    items: Buffer[Any] = Buffer(rule)
    consumer: Consumer[Any] = Consumer(opening, items)
    if feed.is_snapshot is not None:
        marker.begin_again = _weakly(consumer.fall_behind)  # the consumer holds the buffer, which holds the marker
    return Stream(consumer, items, client_scope)


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """A method that does nothing once its object is gone, and does not keep it."""
    weak = WeakMethod(method)

    def call() -> None:
        if (found := weak()) is not None:
            found()

    return call
