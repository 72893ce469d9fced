"""What a consumer holds: a channel of items, whose task ends with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar
from weakref import WeakMethod, WeakSet

import attrs
import trio

from tplus_trio.scopes import Scoped, ServiceTasks, open_service_tasks
from tplus_trio.service import Service
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.decode_limiter import DecodeLimiter
from tplus_trio.streams.drop_marker import DropMarker
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.overflow import Overflow, OverflowRule, check_overflow, make_rule
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.stats import StreamState, StreamStatistics, StreamStats
from tplus_trio.streams.supervisor import Supervisor
from tplus_trio.transport.websocket import WebSocketLimits

__all__ = ["Stream"]

#: Seconds that streams may take to end at once: they have nothing to wait for.
_LEAVING: Final = 1.0

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Home:
    """Where a client's streams live: the tasks of those that are iterated bare, and a list of all that run."""

    def __init__(self) -> None:
        self.tasks: ServiceTasks | None = None
        self.decode_limiter: DecodeLimiter = DecodeLimiter()
        self._left = False
        self._running: set[Supervisor[Any]] = set()
        #: Those that nobody has started; who holds one may be waiting for it.
        self._unstarted: WeakSet[Supervisor[Any]] = WeakSet()

    def expect(self, supervisor: Supervisor[Any]) -> None:
        """Take note of a stream that may be started, to end it with the others."""
        self._unstarted.add(supervisor)
        if self._left:
            supervisor.forgo()

    def start_bare(self, supervisor: Supervisor[Any]) -> None:
        """Start a stream's task in the client's nursery.

        Raises:
            RuntimeError: the client was not entered, or has been left.
        """
        if self.tasks is None and not self._left:
            msg = "enter the client first: `async with …Client(…) as client:`; its streams live in its nursery"
            raise RuntimeError(msg)
        self._start(self.tasks, supervisor)

    @asynccontextmanager
    async def running(self, supervisor: Supervisor[Any]) -> AsyncGenerator[None]:
        """Run a stream's task in a nursery of its own, and end it in order with the block."""
        async with open_service_tasks() as tasks:
            self._start(tasks, supervisor)
            yield
            await supervisor.close()

    def _start(self, tasks: ServiceTasks | None, supervisor: Supervisor[Any]) -> None:
        if self._left or tasks is None:
            msg = "the client has been left, and its streams with it"
            raise RuntimeError(msg)
        # Known from here on: the client may be left before the task's first step.
        self._running.add(supervisor)
        self._unstarted.discard(supervisor)
        tasks.start_soon(self._run, supervisor)

    async def _run(self, supervisor: Supervisor[Any]) -> None:
        try:
            await supervisor.run()
        finally:
            self._running.discard(supervisor)

    def statistics(self) -> tuple[StreamStatistics, ...]:
        """Return the counts of each stream that runs, in the order of their paths."""
        return tuple(sorted((each.statistics() for each in self._running), key=lambda each: each.path))

    async def close(self) -> None:
        """End every stream in order, all at once."""
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            for supervisor in self._running:
                nursery.start_soon(supervisor.close)

    async def leave(self) -> None:
        """End every stream at once, those in nurseries of their own included, and start no more."""
        self.tasks, self._left = None, True
        for supervisor in self._running:
            supervisor.abandon()
        for supervisor in tuple(self._unstarted):
            supervisor.forgo()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVING):
            for supervisor in tuple(self._running):
                await supervisor.done.wait()


class _Lease:
    """Holds a bare stream's task alive; once it is dropped, the task ends.

    The task knows nothing of it: it would never be dropped otherwise.
    """

    __slots__ = ("_supervisor", "_token")

    def __init__(self, supervisor: Supervisor[Any]) -> None:
        self._supervisor = supervisor
        self._token = trio.lowlevel.current_trio_token()

    def __del__(self) -> None:
        # Runs wherever the garbage is collected: in another thread, or after the end of the run.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._supervisor.abandon)


class Supervised(Scoped):
    """What a stream and a live book have in common: a supervised task that one can look at and give orders to."""

    def __init__(self, supervisor: Supervisor[Any], home: Home) -> None:
        self._supervisor = supervisor
        self._home = home
        home.expect(supervisor)

    @property
    def state(self) -> StreamState:
        """Where the stream is in its life."""
        return self._supervisor.state

    @property
    def stats(self) -> StreamStats:
        """A copy of the stream's counts as they are now."""
        statistics = self.statistics()
        dropped = statistics.consumer.dropped + statistics.consumer.merged
        return StreamStats(**attrs.asdict(statistics.connection), dropped=dropped)

    def statistics(self) -> StreamStatistics:
        """Return the counts of the connection and of the consumer as they are now."""
        return self._supervisor.statistics()

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended the stream; None while all is well."""
        return self._supervisor.last_error

    def __repr__(self) -> str:
        error = self.last_error
        failure = "" if error is None else f": {error!r}"
        return f"<{type(self).__name__} {self._supervisor.path} {self.state.value}{failure}>"

    def reconnect(self) -> None:
        """Drop the connection and make a new one now, or end the wait before the next attempt.

        What is missed meanwhile is recovered as after any loss.
        """
        self._supervisor.reconnect()

    def resync(self) -> None:
        """Recover as if something had been missed, over the connection that there is.

        A depth stream yields a new `OrderBook` and a live book starts again from one, a trade or candle stream asks
        REST, an order stream yields an `OrdersSnapshot`. Without a connection there is nothing to do: the next one
        begins like that.
        """
        self._supervisor.resync()


class Stream(Supervised, trio.abc.ReceiveChannel[T_co]):
    """A feed, as an asynchronous iterable. Nothing connects until it is entered or iterated.

    Entered with ``async with``, its task lives in a nursery of its own around the block. Iterated bare, its task lives
    in the client's nursery, and ends when the loop is left, however it is left.

    Items are delivered in the order of the exchange. A failure that the restart policy does not cover is raised by the
    iteration, after the items that came before it. Cancelling whoever waits for an item loses none.
    """

    def __init__(self, supervisor: Supervisor[Any], buffer: Buffer[Any], home: Home) -> None:
        super().__init__(supervisor, home)
        self._buffer: Buffer[T_co] = buffer
        self._started = False
        self._lease: _Lease | None = None

    async def wait_live(self) -> None:
        """Wait until the stream is connected and nothing is missing.

        A stream that nobody has entered yet is waited for too, so that one task may wait for what another enters.

        Raises:
            TplusError: it failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await self._supervisor.wait_for(StreamState.LIVE)

    # Lifetime.

    def _claim(self) -> None:
        if self._started:
            msg = "a stream is entered or iterated bare, once; ask the client for a new one"
            raise RuntimeError(msg)
        self._started = True

    def _start_bare(self) -> None:
        """Start in the client's nursery, unless it runs already."""
        if not self._started:
            self._home.start_bare(self._supervisor)
            self._claim()
            self._lease = _Lease(self._supervisor)

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        self._claim()
        async with self._home.running(self._supervisor):
            try:
                yield
            finally:
                self._end()

    def _end(self) -> None:
        """Nothing more is delivered."""
        self._buffer.close(trio.ClosedResourceError("the stream was closed"))
        self._buffer.clear()

    async def aclose(self) -> None:
        """End the stream: in order, or at once if cancelled. What waits undelivered is dropped."""
        self._end()
        if self._started:
            await self._supervisor.close()
        else:
            self._started = True
            self._supervisor.forgo()
            await trio.lowlevel.checkpoint()

    # Items.

    async def receive(self) -> T_co:
        """Wait for the next item. Cancelled, it has taken none.

        Raises:
            TplusError: the stream failed for good.
            trio.ClosedResourceError: it was closed, here or with its client.
        """
        self._start_bare()
        if len(self._buffer):
            # A loop's step looks for cancellation alone where items wait; by itself, this is a full checkpoint.
            await trio.lowlevel.checkpoint()
        return await anext(self._buffer)

    def __anext__(self) -> Coroutine[Any, Any, T_co]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Who asks for the first item alone, ``await anext(client.stream_x())``, may hold nothing but this coroutine.
        return self._buffer.__anext__() if self._started else self.receive()

    def __aiter__(self) -> AsyncIterator[T_co]:  # type: ignore[override]  # not itself
        """Iterate. Outside the stream's context, the iterator is what keeps the stream alive."""
        if not self._started:
            return _Loop(self)
        return self._buffer if self._lease is None else self


class _Loop(trio.abc.ReceiveChannel[T_co]):
    """A loop over a stream that was not entered. The loop alone holds it, and the stream ends with it."""

    def __init__(self, stream: Stream[T_co]) -> None:
        self._stream = stream
        self._lease: _Lease | None = None

    async def receive(self) -> T_co:
        return await self.__anext__()

    def __anext__(self) -> Coroutine[Any, Any, T_co]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._first() if self._lease is None else self._stream._buffer.__anext__()

    async def _first(self) -> T_co:
        """The first item. Who asks for no more may hold nothing but this coroutine, so it holds the loop."""
        stream = self._stream
        stream._start_bare()
        self._lease, stream._lease = stream._lease, None
        return await anext(stream._buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()


def open_stream(
    feed: Feed[T],
    service: Service,
    home: Home,
    *,
    restart: RestartPolicy | None,
    limits: WebSocketLimits,
    buffer: int,
    overflow: Overflow,
    draw: Callable[[], float],
) -> Stream[T]:
    """Put a stream together. Nothing is started.

    Raises:
        TypeError, ValueError: ``buffer`` or ``overflow`` is not legal for this feed.
    """
    check_overflow(overflow, buffer, can_conflate=feed.conflate is not None)
    marker = DropMarker(service.now_ns)
    rule: OverflowRule[Any] = make_rule(
        overflow, buffer, conflate=feed.conflate, mark_drops=marker.mark, is_snapshot=feed.begins
    )
    items: Buffer[Any] = Buffer(rule, home.decode_limiter)
    supervisor: Supervisor[Any] = Supervisor(
        feed, service, items, home.decode_limiter, restart=restart, limits=limits, stats=ConnectionCounts(), draw=draw
    )
    if feed.begins is not None:
        marker.resync = _weakly(supervisor.resync)  # the supervisor holds the buffer, which holds the marker
    return Stream(supervisor, items, home)


def _weakly(method: Callable[[str], None]) -> Callable[[str], None]:
    """A method that does nothing once its object is gone, and does not keep it."""
    weak = WeakMethod(method)

    def call(argument: str) -> None:
        if (found := weak()) is not None:
            found(argument)

    return call
