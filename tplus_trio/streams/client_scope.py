"""The scope of a client: the nursery of its feeds, those that run, and who shares them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakSet

import trio

from tplus_trio.scopes import ServiceTasks, open_service_tasks
from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.session import Session
from tplus_trio.streams.sharing import SharedFeed
from tplus_trio.streams.stats import StreamStatistics
from tplus_trio.transport.turns import Turns

__all__ = ["ClientScope"]

#: Seconds that streams may take to end when they are cancelled; they have nothing to wait for.
_LEAVE_TIMEOUT: Final = 1.0


class ClientScope:
    """The nursery of a client's feeds, and a registry of all that run.

    A feed that may be shared runs in the client's nursery. Another one runs there if its stream is iterated bare, and
    in a nursery around the block if it is entered.
    """

    def __init__(self) -> None:
        #: The client's nursery; None before the client is entered and after it was left.
        self.tasks: ServiceTasks | None = None
        self.turns: Turns = Turns()
        #: Whether the client was left.
        self.was_left: bool = False
        self._running: set[SharedFeed[Any]] = set()
        #: The feeds that others may join, by what they have in common.
        self._shared: dict[Hashable, SharedFeed[Any]] = {}
        #: Sessions of other protocols than feeds.
        self._sessions: WeakSet[Session] = WeakSet()
        #: Those that nobody has started. Another task may wait for one of them.
        self._unstarted: WeakSet[Consumer[Any]] = WeakSet()

    def add_unstarted(self, consumer: Consumer[Any]) -> None:
        """Register a consumer that may be started, so that it ends with the others."""
        self._unstarted.add(consumer)
        if self.was_left:
            consumer.close_unstarted()

    def start_bare(self, consumer: Consumer[Any]) -> None:
        """Let a consumer join its feed, which runs in the client's nursery.

        Raises:
            RuntimeError: the client was not entered, or has been left.
        """
        if self.tasks is None and not self.was_left:
            msg = "enter the client first: `async with …Client(…) as client:`; its streams live in its nursery"
            raise RuntimeError(msg)
        self._join(self.tasks, consumer)

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
    async def running(self, consumer: Consumer[Any]) -> AsyncGenerator[None]:
        """Let a consumer take part in its feed for the time of the block, and leave it in order.

        If the block is left by an exception, it leaves the feed at once.
        """
        if self.tasks is None or consumer.opening.key is None:
            async with open_service_tasks() as tasks:
                self._join(tasks, consumer)
                yield
                await consumer.close()
            return
        self._join(self.tasks, consumer)
        try:
            yield
            await consumer.close()
        finally:
            consumer.cancel()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_TIMEOUT):
                await consumer.wait_left()

    def _join(self, tasks: ServiceTasks | None, consumer: Consumer[Any]) -> None:
        if self.was_left or tasks is None:
            msg = "the client has been left, and its streams with it"
            raise RuntimeError(msg)
        self._unstarted.discard(consumer)
        key = consumer.opening.key if tasks is self.tasks else None
        feed = None if key is None else self._shared.get(key)
        if feed is None or feed.is_ending:
            feed = SharedFeed(consumer.opening)
            # Before the task's first step: the client may be left, or the stream closed, before that.
            feed.session.start()
            self._running.add(feed)
            if key is not None:
                self._shared[key] = feed
            tasks.start_soon(self._run, feed, key)
        feed.add(consumer)

    async def _run(self, feed: SharedFeed[Any], key: Hashable) -> None:
        try:
            await feed.run()
        finally:
            self._running.discard(feed)
            if self._shared.get(key) is feed:
                del self._shared[key]

    def statistics(self) -> tuple[StreamStatistics, ...]:
        """Return the counts of each stream that runs, in the order of their paths."""
        each = [statistics for feed in self._running for statistics in feed.statistics()]
        return tuple(sorted(each, key=lambda statistics: statistics.path))

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
        for consumer in tuple(self._unstarted):
            consumer.close_unstarted()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_TIMEOUT):
            for session in sessions:
                await session.wait_closed()

    def _all_sessions(self) -> tuple[Session, ...]:
        return (*(feed.session for feed in self._running), *self._sessions)
