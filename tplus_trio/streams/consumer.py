"""One consumer of a feed: a stream or a live book, with a life of its own over a connection that others may share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs
import trio

from tplus_trio.errors import SlowConsumer
from tplus_trio.models import StreamLost
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.feed_state import Missed, Needs
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.lone_resync import LoneResync
from tplus_trio.streams.losses import LossWatchers
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.outage import log_failed_for_good, without_traceback
from tplus_trio.streams.phased import Phased
from tplus_trio.streams.sink import ConsumerSink
from tplus_trio.streams.stats import StreamStatistics
from tplus_trio.transport.silence import SilenceBound

if TYPE_CHECKING:
    from tplus_trio.streams.sharing import SharedFeed

__all__ = ["Consumer"]

T = TypeVar("T")

#: Why a consumer is no longer live if no failure ended that.
_STOPPED: Final = "the stream was closed"
_SLOW: Final = "the consumer was slow"


class Consumer(Phased, Generic[T]):
    """Takes part in a feed from `join` until it leaves, or until the feed ends.

    Its phase is that of the feed's session, but for two cases. It is SYNCING while the feed is live and it has to begin
    again itself: because it was too slow for a feed that others read too, or because it ordered a resync. And it may
    end while the feed goes on.

    Args:
        opening: The feed, and how it is opened.
        sink: Takes the items.
    """

    # Twelve attributes: two are given, and four are those of `Phased`.
    def __init__(self, opening: Opening[T], sink: ConsumerSink[T]) -> None:
        super().__init__()
        self.opening: Opening[T] = opening
        #: Called in the step in which the consumer leaves LIVE.
        self.losses: LossWatchers[StreamLost] = LossWatchers()
        self._sink = sink
        #: The feed; None before the consumer joined one.
        self._feed: SharedFeed[T] | None = None
        #: What it has missed since it was too slow; None if it keeps up.
        self._missed: Missed[T] | None = None
        #: Whether it takes nothing before an item that is whole by itself: what comes before may not follow.
        self._awaits_whole = False
        #: Fetches a snapshot for this consumer alone.
        self._lone: LoneResync[T] | None = None
        #: The statistics at its end. What waits may still be taken.
        self._final: StreamStatistics | None = None

    # What there is to see.

    @property
    def name(self) -> str:
        """The name of the feed in log lines: its path."""
        return self.opening.feed.path

    @property
    def needs(self) -> Needs:
        """What it needs of the feed."""
        return self._sink.needs

    @property
    def is_full(self) -> bool:
        """Whether it is to be waited for before it takes more."""
        return self._sink.is_full

    @property
    def has_untaken(self) -> bool:
        """Whether items wait that the consumer has not taken."""
        return self._sink.has_untaken

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended it; None if there is none."""
        if self.failure is not None or self._feed is None or self.phase is Phase.CLOSED:
            return self.failure
        own = None if self._lone is None else self._lone.last_error
        return own or self._feed.session.last_error

    def silence(self) -> SilenceBound:
        """Return the limits on the silence of the connection. The consumer has joined a feed."""
        assert self._feed is not None  # noqa: S101 - for the type checker: it is asked once the stream is live
        return self._feed.subscription.silence

    def statistics(self) -> StreamStatistics:
        """Return the counts of the connection and of the consumer as they are now, or as they were at its end."""
        if self._final is not None:
            return attrs.evolve(self._final, consumer=self._sink.statistics())
        if self._feed is None:
            return StreamStatistics(
                path=self.name,
                state=self.state,
                connection=ConnectionCounts().statistics(),
                consumer=self._sink.statistics(),
                lag=None,
            )
        return self._feed.subscription.statistics(self.state, self._sink.statistics())

    # Orders of the owner.

    def reconnect(self) -> None:
        """Make a new connection, for all who share it."""
        if self._feed is not None and self.phase is not Phase.CLOSED:
            self._feed.session.reconnect()

    def resync(self, reason: str = "ordered") -> None:
        """Begin again as after a loss, over the connection that there is. Those who share it do not notice."""
        if (feed := self._feed) is None or self.phase is Phase.CLOSED:
            return
        if not feed.has_others:
            feed.subscription.resync(reason)
        elif feed.session.phase is Phase.LIVE:  # otherwise it begins again anyway, for all
            self._resync_alone(feed, reason)

    def close_unstarted(self) -> None:
        """Close a consumer that joined no feed."""
        if self._feed is None:
            self._end(None)

    async def close(self) -> None:
        """Leave in order. The last one closes the connection. If this is cancelled, that ends at once."""
        if (feed := self._feed) is None or self.phase is Phase.CLOSED:
            self.close_unstarted()
            await trio.lowlevel.checkpoint()
        elif feed.has_others:
            self._end(None)
            await trio.lowlevel.checkpoint()
        else:
            await feed.session.close()

    def cancel(self) -> None:
        """Leave at once. The last one ends the connection without a close frame."""
        if (feed := self._feed) is None or feed.has_others or self.phase is Phase.CLOSED:
            self._end(None)
        else:
            feed.session.cancel()

    async def wait_left(self) -> None:
        """Wait until a consumer that was cancelled, and the connection if nobody else needs it, have ended."""
        while self.phase is not Phase.CLOSED:
            await self._phase_changed.wait()

    # The feed's side.

    def join(self, feed: SharedFeed[T], *, is_held_up: bool) -> None:
        """Take part in a feed from now on.

        Args:
            feed: The feed.
            is_held_up: Whether the feed is not read because its only consumer was full: then its state is old.
        """
        self._feed = feed
        self._sink.attach(feed.state)
        if feed.session.phase is not Phase.LIVE:
            self._await_whole()
        elif is_held_up and feed.subscription.fork() is not None:
            self._resync_alone(feed, "the feed was held up by a slow consumer")
        else:
            try:
                is_known = self._sink.join(feed.state)
            except SlowConsumer as exc:
                self.fail(exc)  # the iteration raises it
                return
            if not is_known:
                self._resync_alone(feed, "the book at this moment is not known")
        self.follow("")

    def _await_whole(self) -> None:
        self._awaits_whole = self.opening.feed.is_snapshot is not None

    def _from_whole(self, items: Sequence[T]) -> Sequence[T]:
        """Return the items from the first one on that is whole by itself; none if there is none."""
        is_snapshot = self.opening.feed.is_snapshot
        for index, item in enumerate(items):
            if is_snapshot is None or is_snapshot(item):
                self._awaits_whole = False
                return items[index:]
        return ()

    def follow(self, reason: str) -> None:
        """Follow the phase of the feed's session. ``reason`` says why, if it leaves LIVE."""
        assert self._feed is not None  # noqa: S101 - for the type checker: the feed calls it
        phase = self._feed.session.phase
        if phase is Phase.LIVE:
            if self._missed is not None or (self._lone is not None and not self._lone.has_caught_up):
                phase = Phase.SYNCING
        elif self._lone is not None:
            self._stop_lone()  # the next snapshot of the feed makes this consumer whole, too
            self._await_whole()
        # The end comes with `end`.
        if phase is not self.phase and phase is not Phase.CLOSED:
            self._change(phase, reason)

    def _change(self, phase: Phase, reason: str) -> None:
        was_live = self.phase is Phase.LIVE
        self._enter(phase)
        if was_live:
            self.losses.notify(StreamLost(reason, self.opening.service.now_ns()))

    def take(self, items: Sequence[T], *, is_alone: bool) -> None:
        """Take items of the feed, without waiting. What goes wrong ends this consumer, and not the feed."""
        if self._awaits_whole and not (items := self._from_whole(items)):
            return
        if self._lone is not None:
            self._lone.receive(items)
        elif self._missed is not None:
            self._miss(items)
        elif not is_alone and self._sink.is_full:
            self.opening.service.observer.overflow(self.name, self._sink.statistics().overflow, len(items))
            self.fall_behind()
            self._miss(items)
        else:
            try:
                self._sink.put_nowait(items)
            except Exception as exc:  # noqa: BLE001 - it is raised where this consumer waits
                self.fail(exc)

    def fall_behind(self) -> None:
        """Take nothing more until the consumer has taken what waits; then begin again."""
        if self._missed is None and self.phase is not Phase.CLOSED:
            self._missed = Missed()
            self._sink.when_empty(self._begin_again)
            if self._feed is not None:
                self.follow(_SLOW)

    def _miss(self, items: Sequence[T]) -> None:
        assert self._missed is not None  # noqa: S101 - for the type checker: the caller has checked it
        self._missed.add(items)
        self._sink.count_dropped(len(items))

    def _begin_again(self) -> None:
        """Go on, with the state that the feed is in now."""
        missed, self._missed, feed = self._missed, None, self._feed
        if missed is None or feed is None or self.phase is Phase.CLOSED:
            return
        if not (is_live := feed.session.phase is Phase.LIVE):
            self._await_whole()
        items = feed.state.begin_again(missed.gap(self.opening.service.now_ns()), is_live=is_live)
        if items is None:
            self.resync(_SLOW)
        else:
            self._sink.put_nowait(items)  # type: ignore[arg-type]  # streams have a `Gap` among their items
        self.follow(_SLOW)

    async def wait_for_room(self) -> None:
        """Wait while the sink is full, or until `release`."""
        await self._sink.wait_for_room()

    def release(self) -> None:
        """Do not wait for this consumer any more: it is no longer alone."""
        self._sink.release()

    def _resync_alone(self, feed: SharedFeed[T], reason: str) -> None:
        """Fetch a snapshot from which this consumer begins again, while the feed is live and goes on."""
        recovery = feed.subscription.fork()
        if recovery is None:
            feed.subscription.resync(reason)  # what it delivers is of use to all
            return
        self._stop_lone()
        self._missed, self._awaits_whole = None, False
        self._lone = lone = LoneResync(self, feed.subscription, recovery)
        self.follow(reason)
        lone.start(reason)
        self.opening.service.observer.resync(self.name, reason)

    def _stop_lone(self) -> None:
        lone, self._lone = self._lone, None
        if lone is not None:
            lone.cancel()

    def take_alone(self, items: Sequence[T], *, is_first: bool, is_in_step: bool) -> None:
        """Take items of a resync of this consumer alone.

        Args:
            items: The items.
            is_first: Whether it begins with them.
            is_in_step: Whether it can go on with the next items of the feed.
        """
        assert self._feed is not None  # noqa: S101 - for the type checker: it has joined a feed
        if is_in_step:
            self._lone = None
        is_known = is_first and is_in_step and self._feed.state.restore(items)
        try:
            if is_first and not is_known:
                self._sink.begin(items)
            else:
                self._sink.put_nowait(items)
        except Exception as exc:  # noqa: BLE001 - as in `take`
            self.fail(exc)
        else:
            self.follow("")

    def fail(self, failure: Exception) -> None:
        """End this consumer, and no other. The feed ends with its last one."""
        log_failed_for_good(self.name, failure, was_live=True)
        self._end(failure)

    def end(self, failure: Exception | None, *, is_shared: bool) -> None:
        """Take note that the feed has ended. Each consumer raises an exception of its own."""
        self._end(without_traceback(failure) if failure is not None and is_shared else failure)

    def _end(self, failure: Exception | None) -> None:
        if self.phase is Phase.CLOSED:
            return
        self._stop_lone()
        self._missed = None
        if failure is not None:
            self._fail(failure)
        if self._feed is not None:
            self._feed.remove(self)
            if self._feed.is_unused:
                self._feed.session.cancel()
        self._change(Phase.CLOSED, _STOPPED if failure is None else str(failure))
        self._final = self.statistics()
        self._sink.close(failure or trio.ClosedResourceError(_STOPPED))
