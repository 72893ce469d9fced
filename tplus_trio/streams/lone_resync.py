"""One consumer of a shared feed begins again from a snapshot, while the others go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.outage import Outage
from tplus_trio.streams.policy import Restarts
from tplus_trio.streams.recovery import Recovery
from tplus_trio.streams.refetch import Refetcher
from tplus_trio.streams.subscription import MAX_HELD, Subscription

if TYPE_CHECKING:
    from tplus_trio.streams.consumer import Consumer

__all__ = ["LoneResync"]

T = TypeVar("T")


class LoneResync(Generic[T]):
    """What a session and a sink are for a feed, for one consumer that resynchronises alone.

    It holds a copy of the feed's recovery, which hears of the same items. The snapshot may be ahead of the feed, so the
    copy stays until it is in step with it. It ends with the connection. Then the feed begins again for everybody.

    Args:
        consumer: The consumer.
        subscription: The subscription of its feed, which is live.
        recovery: The copy.
    """

    # Ten attributes, some of which a refetcher asks of a session.
    def __init__(self, consumer: Consumer[T], subscription: Subscription[T], recovery: Recovery[T]) -> None:
        self._consumer = consumer
        self._subscription = subscription
        self._recovery = recovery
        self._tasks = subscription.tasks
        self._refetcher: Refetcher[T] = subscription.refetcher(recovery, self, self, self._start_soon)
        #: The scopes around the requests that are under way.
        self._scopes: set[trio.CancelScope] = set()
        self._is_cancelled = False
        #: Whether nothing is missing for the consumer.
        self.has_caught_up: bool = False
        #: Whether the consumer has begun since.
        self._has_begun = False
        self._outage = Outage(consumer.name)
        self.restarts: Restarts = Restarts(consumer.opening.restart, consumer.opening.draw)

    @property
    def last_error(self) -> Exception | None:
        """The failure with which its requests began to fail; None if they do not."""
        return self._outage.cause

    def start(self, reason: str) -> None:
        """Ask for the snapshot."""
        self._refetcher.resync(reason)

    def receive(self, items: Sequence[T]) -> None:
        """Take items of the feed."""
        if self._recovery.held > MAX_HELD:
            self._refetcher.hole("too many changes were held")
        delivered = self._recovery.receive(items)
        self._refetcher.follow_up()
        self.put_nowait(delivered)

    def cancel(self) -> None:
        """Ask for nothing more."""
        self._is_cancelled = True
        for scope in self._scopes:
            scope.cancel()

    def _start_soon(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        self._tasks.start_soon(self._run, async_fn, *args)

    async def _run(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._is_cancelled:
                scope.cancel()
            try:
                await async_fn(*args)
            finally:
                self._scopes.discard(scope)

    # What the refetcher asks of a session.

    @property
    def phase(self) -> Phase:
        """SYNCING while the feed's session is live."""
        phase = self._subscription.session.phase
        return Phase.SYNCING if phase is Phase.LIVE and not self.has_caught_up else phase

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._subscription.session.is_open

    def report_hole(self, reason: str) -> None:
        """Note that the copy has missed something. It asks again."""
        self.has_caught_up = self._has_begun = False
        self._consumer.follow(reason)

    def report_caught_up(self) -> None:
        """Note that the next items that are delivered are those to begin with."""
        self.has_caught_up = True
        self._outage.over(trio.current_time())

    async def wait_open(self) -> None:
        """Wait until there is a connection."""
        await self._subscription.session.wait_open()

    def count_failure(self, failure: Exception) -> float:
        """Count a failed request; return the delay before the next one, in seconds.

        Raises:
            Exception: ``failure`` itself, if it will not pass or the policy allows no more.
        """
        now = trio.current_time()
        delay = self.restarts.failed(failure, now)
        self._outage.failed(failure, delay, now)
        return delay

    def give_up_connection(self, failure: Exception) -> None:
        """End the consumer, whose requests failed for good. The connection is not its own."""
        if not self._is_cancelled:
            self._consumer.fail(failure)

    # What it asks of a sink.

    def put_nowait(self, items: Sequence[T]) -> None:
        """Let the consumer begin, once the copy has caught up, and go on until the copy is in step with the feed."""
        if not items or not self.has_caught_up or self._is_cancelled:
            return
        is_first, self._has_begun = not self._has_begun, True
        is_in_step = self._subscription.is_in_step(self._recovery)
        self._consumer.take_alone(items, is_first=is_first, is_in_step=is_in_step)

    async def put(self, items: Sequence[T]) -> None:
        """As `put_nowait`."""
        self.put_nowait(items)
        await trio.lowlevel.checkpoint()

    def close(self, error: Exception) -> None:
        """Do nothing: the feed ends its consumers itself."""
