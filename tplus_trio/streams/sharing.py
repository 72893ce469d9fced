"""A feed that one or more consumers read: one subscription, whose items go to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import attrs
import trio

from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.feed_state import FeedState
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.session import Session
from tplus_trio.streams.stats import StreamStatistics
from tplus_trio.streams.subscription import Subscription

__all__ = ["SharedFeed"]

T = TypeVar("T")

#: Items whose objects, twice as many, do not start the garbage collector.
_FEW: Final = 16


class SharedFeed(Generic[T]):
    """Hands on the items of a subscription, in the step that delivers them, to each consumer in the order of joining.

    A consumer that is alone and full keeps the socket from being read. If others read the feed too, nobody waits for
    it: it misses items, and begins again once it has taken those that it has (`Consumer`).

    Args:
        opening: The feed, and how it is opened.
    """

    def __init__(self, opening: Opening[T]) -> None:
        feed = opening.feed
        #: What a consumer that joins begins with.
        self.state: FeedState[T] = feed.state()
        self.state.is_kept = opening.key is not None
        if (decoder := self.state.decoder) is not None:
            opening = attrs.evolve(
                opening, feed=attrs.evolve(feed, decode_batch=decoder, batch_size=self.state.batch_size)
            )
        self.subscription: Subscription[T] = Subscription(opening, self)
        self.session: Session = self.subscription.session
        self.session.on_change = self._follow
        self._consumers: dict[Consumer[T], None] = {}
        self._opening = opening
        #: Whether the socket is not read because the only consumer was full.
        self._is_held_up = False

    @property
    def is_ending(self) -> bool:
        """Whether nobody can join any more."""
        phase = self.session.phase
        ends_now = phase is Phase.DISCONNECTING and self._opening.restart is None
        return ends_now or phase in {Phase.CLOSING, Phase.CANCELLING, Phase.CLOSED}

    @property
    def is_unused(self) -> bool:
        """Whether it has no consumer any more."""
        return not self._consumers

    @property
    def has_others(self) -> bool:
        """Whether it has more than one consumer."""
        return len(self._consumers) > 1

    def add(self, consumer: Consumer[T]) -> None:
        """Let a consumer take part. If the feed is live, it begins at once; if it waits to try again, it tries now."""
        for other in self._consumers:
            other.release()
        restart = self._opening.restart
        # An attempt counts against a limit of the policy, and that limit is for all.
        if self.session.phase is Phase.BACKOFF and (restart is None or restart.max_restarts is None):
            self.session.reconnect()
        self._consumers[consumer] = None
        self.state.add_consumer(consumer.needs)
        consumer.join(self, is_held_up=self._is_held_up)

    def remove(self, consumer: Consumer[T]) -> None:
        """Let a consumer take part no more."""
        if consumer in self._consumers:
            del self._consumers[consumer]
            self.state.remove_consumer(consumer.needs)

    async def run(self) -> None:
        """Run until closed, cancelled, or failed for good. A failure is for the consumers and is not raised."""
        await self.subscription.run()

    def statistics(self) -> tuple[StreamStatistics, ...]:
        """Return the counts of each consumer as they are now."""
        return tuple(consumer.statistics() for consumer in self._consumers)

    def _follow(self, reason: str) -> None:
        for consumer in tuple(self._consumers):
            consumer.follow(reason)

    # What the subscription asks of a sink.

    async def put(self, items: Sequence[T]) -> None:
        """Hand on items, and wait for a consumer that is full and alone."""
        self.put_nowait(items)
        if self.state.is_bulky and len(items) > _FEW and any(consumer.has_untaken for consumer in self._consumers):
            # Otherwise the next batch might be decoded before the consumers take this one. The garbage collector cost a
            # sixth of a stream with five levels a side.
            await trio.lowlevel.checkpoint()
        if len(self._consumers) == 1:
            (consumer,) = self._consumers
            if consumer.is_full:
                self._is_held_up = True
                try:
                    await consumer.wait_for_room()
                finally:
                    self._is_held_up = False
        if self.state.needs_upkeep:
            # The consumers were woken, and run in the first pass of the loop: they do not wait for this.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            self.state.keep_up()

    def put_nowait(self, items: Sequence[T]) -> None:
        """Hand on items."""
        if items:
            items = self.state.apply(items)
            consumers = tuple(self._consumers)
            is_alone = len(consumers) == 1
            for consumer in consumers:
                consumer.take(items, is_alone=is_alone)

    def close(self, error: Exception) -> None:  # noqa: ARG002 - each consumer gets an exception of its own
        """End all consumers."""
        consumers = tuple(self._consumers)
        for consumer in consumers:
            consumer.end(self.session.failure, is_shared=len(consumers) > 1)
