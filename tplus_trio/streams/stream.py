"""Streams as consumers see them, and the scope of a client in which they live."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakMethod, WeakSet

import attrs
import trio

from tplus_trio.models import StreamLost
from tplus_trio.scopes import Scoped, ServiceTasks, open_service_tasks
from tplus_trio.service import Service
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.decode_limiter import DecodeLimiter
from tplus_trio.streams.drop_marker import DropMarker
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.overflow import Overflow, OverflowRule, check_overflow, make_rule
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.session import Session
from tplus_trio.streams.stats import StreamState, StreamStatistics, StreamStats
from tplus_trio.streams.subscription import Subscription
from tplus_trio.streams.while_live import WhileLive, check_silence
from tplus_trio.transport.websocket import WebSocketLimits

__all__ = ["Stream"]

#: Seconds that streams may take to end when they are cancelled; they have nothing to wait for.
_LEAVE_TIMEOUT: Final = 1.0

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ClientScope:
    """The scope of a client's streams: the nursery of those that are iterated bare, and a registry of all that run."""

    def __init__(self) -> None:
        #: The client's nursery; None before the client is entered and after it was left.
        self.tasks: ServiceTasks | None = None
        self.decode_limiter: DecodeLimiter = DecodeLimiter()
        #: Whether the client was left.
        self.was_left: bool = False
        self._running: set[Subscription[Any]] = set()
        #: Sessions of other protocols than feeds.
        self._sessions: WeakSet[Session] = WeakSet()
        #: Those that nobody has started. Another task may wait for one of them.
        self._unstarted: WeakSet[Subscription[Any]] = WeakSet()

    def add_unstarted(self, subscription: Subscription[Any]) -> None:
        """Register a subscription that may be started, so that it ends with the others."""
        self._unstarted.add(subscription)
        if self.was_left:
            subscription.close_unstarted()

    def start_bare(self, subscription: Subscription[Any]) -> None:
        """Start a subscription's task in the client's nursery.

        Raises:
            RuntimeError: the client was not entered, or has been left.
        """
        if self.tasks is None and not self.was_left:
            msg = "enter the client first: `async with …Client(…) as client:`; its streams live in its nursery"
            raise RuntimeError(msg)
        self._start(self.tasks, subscription)

    def start_session(self, session: Session, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start the task of a session that is no stream, in the client's nursery. It ends when the client is left.

        Raises:
            RuntimeError: the client was not entered, or has been left.
        """
        if self.tasks is None:
            msg = (
                "the client has been left"
                if self.was_left
                else "enter the client: `async with …Client(…) as client:`; its channel lives in its nursery"
            )
            raise RuntimeError(msg)
        session.start()
        self._sessions.add(session)
        self.tasks.start_soon(run)

    @asynccontextmanager
    async def running(self, subscription: Subscription[Any]) -> AsyncGenerator[None]:
        """Run a subscription's task in a nursery around the block, and end it in order when the block is left."""
        async with open_service_tasks() as tasks:
            self._start(tasks, subscription)
            yield
            await subscription.session.close()

    def _start(self, tasks: ServiceTasks | None, subscription: Subscription[Any]) -> None:
        if self.was_left or tasks is None:
            msg = "the client has been left, and its streams with it"
            raise RuntimeError(msg)
        # Before the task's first step: the client may be left, or the stream closed, before that.
        subscription.session.start()
        self._running.add(subscription)
        self._unstarted.discard(subscription)
        tasks.start_soon(self._run, subscription)

    async def _run(self, subscription: Subscription[Any]) -> None:
        try:
            await subscription.run()
        finally:
            self._running.discard(subscription)

    def statistics(self) -> tuple[StreamStatistics, ...]:
        """Return the counts of each stream that runs, in the order of their paths."""
        return tuple(sorted((each.statistics() for each in self._running), key=lambda each: each.path))

    async def close(self) -> None:
        """End every stream and session in order, all at once."""
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            for session in self._all_sessions():
                nursery.start_soon(session.close)

    async def leave(self) -> None:
        """End every stream at once, also those in nurseries around blocks, and let no other stream start."""
        self.tasks, self.was_left = None, True
        sessions = self._all_sessions()
        for session in sessions:
            session.cancel()
        for subscription in tuple(self._unstarted):
            subscription.close_unstarted()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_TIMEOUT):
            for session in sessions:
                await session.wait_closed()

    def _all_sessions(self) -> tuple[Session, ...]:
        return (*(subscription.session for subscription in self._running), *self._sessions)


class StreamFinalizer:
    """Cancels a bare stream's session when it is dropped.

    The iterator holds it. The session's task does not, or it would never be dropped.
    """

    __slots__ = ("_session", "_token")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._token = trio.lowlevel.current_trio_token()

    def __del__(self) -> None:
        # Runs where the garbage is collected: perhaps in another thread, or after the end of the run.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._session.cancel)


class Supervised(Scoped):
    """What a stream and a live book have in common: a subscription that one can look at and give orders to."""

    def __init__(self, subscription: Subscription[Any], client_scope: ClientScope) -> None:
        self._subscription = subscription
        self._session: Session = subscription.session
        self._client_scope = client_scope
        client_scope.add_unstarted(subscription)

    @property
    def state(self) -> StreamState:
        """Where the stream is in its life."""
        return self._session.state

    @property
    def stats(self) -> StreamStats:
        """A copy of the stream's counts as they are now."""
        statistics = self.statistics()
        dropped = statistics.consumer.dropped + statistics.consumer.merged
        return StreamStats(**attrs.asdict(statistics.connection), dropped=dropped)

    def statistics(self) -> StreamStatistics:
        """Return the counts of the connection and of the consumer as they are now."""
        return self._subscription.statistics()

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended the stream; None if there is none."""
        return self._session.last_error

    def __repr__(self) -> str:
        error = self.last_error
        failure = "" if error is None else f": {error!r}"
        return f"<{type(self).__name__} {self._session.name} {self.state.value}{failure}>"

    def reconnect(self) -> None:
        """Drop the connection and make a new one now, or end the wait before the next attempt.

        The stream recovers what it misses meanwhile, as after any loss. On a stream that has not been started, that is
        closing or that has ended, nothing happens.
        """
        self._session.reconnect()

    def resync(self) -> None:
        """Recover as if something had been missed, over the connection that there is.

        A depth stream yields a new `OrderBook` and a live book starts again from one; a trade or candle stream asks
        REST; an order stream yields an `OrdersSnapshot`. Without a connection nothing happens, because each connection
        begins like that.
        """
        self._subscription.resync()


class Stream(Supervised, trio.abc.ReceiveChannel[T_co]):
    """A feed, as an asynchronous iterable. Nothing connects until it is entered or iterated.

    Entered with ``async with``, its task lives in a nursery of its own around the block. Iterated bare, its task lives
    in the client's nursery, and ends when the loop is left, however it is left.

    The stream delivers items in the order of the exchange. The iteration raises a failure that the restart policy does
    not cover, after the items that came before it. Cancelling a task that waits for an item loses no item.
    """

    def __init__(self, subscription: Subscription[Any], buffer: Buffer[Any], client_scope: ClientScope) -> None:
        super().__init__(subscription, client_scope)
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
        await self._session.wait_for(StreamState.LIVE)

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
        return WhileLive(self.wait_live, self._session.losses, self._subscription.silence, check_silence(max_silence))

    # Lifetime.

    def _claim(self) -> None:
        if self._started:
            msg = "a stream is entered or iterated bare, once; ask the client for a new one"
            raise RuntimeError(msg)
        self._started = True

    def _start_bare(self) -> None:
        """Start in the client's nursery, unless it runs already."""
        if not self._started:
            self._client_scope.start_bare(self._subscription)
            self._claim()
            self._finalizer = StreamFinalizer(self._session)

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        self._claim()
        async with self._client_scope.running(self._subscription):
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
        if self._started:
            await self._session.close()
        else:
            self._started = True
            self._subscription.close_unstarted()
            await trio.lowlevel.checkpoint()

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
    feed: Feed[T],
    service: Service,
    client_scope: ClientScope,
    *,
    restart: RestartPolicy | None,
    limits: WebSocketLimits,
    buffer: int,
    overflow: Overflow,
    draw: Callable[[], float],
) -> Stream[T]:
    """Make a stream. Nothing is started.

    Raises:
        TypeError, ValueError: ``buffer`` or ``overflow`` is not legal for this feed.
    """
    check_overflow(overflow, buffer, can_conflate=feed.conflate is not None)
    on_overflow = partial(service.observer.overflow, feed.path, overflow)
    marker = DropMarker(service.now_ns, on_overflow)
    rule: OverflowRule[Any] = make_rule(
        overflow,
        buffer,
        conflate=feed.conflate,
        mark_drops=marker.mark,
        is_snapshot=feed.is_snapshot,
        on_overflow=on_overflow,
    )
    items: Buffer[Any] = Buffer(rule, client_scope.decode_limiter)
    subscription: Subscription[Any] = Subscription(
        feed,
        service,
        items,
        client_scope.decode_limiter,
        restart=restart,
        limits=limits,
        draw=draw,
    )
    if feed.is_snapshot is not None:
        marker.resync = _weakly(subscription.resync)  # the subscription holds the buffer, which holds the marker
    return Stream(subscription, items, client_scope)


def _weakly(method: Callable[[str], None]) -> Callable[[str], None]:
    """A method that does nothing once its object is gone, and does not keep it."""
    weak = WeakMethod(method)

    def call(argument: str) -> None:
        if (found := weak()) is not None:
            found(argument)

    return call
