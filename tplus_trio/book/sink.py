"""What a live book does with the items of its feed."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import cast

import trio

from tplus_trio.book.state import DepthState
from tplus_trio.models import BookLost, OrderBook, StreamLost
from tplus_trio.streams.feed_state import FeedState, Needs
from tplus_trio.streams.losses import LossWatchers
from tplus_trio.streams.recovery import Depth
from tplus_trio.streams.sink import ConsumerSink
from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["BookSink"]


class BookSink(ConsumerSink[Depth]):
    """Reads the book that the feed keeps for all live books of a market, and tells of its changes and losses.

    After a resync that was ordered for this live book alone, it has a book of its own, until the feed begins again.
    """

    needs: Needs = "state"

    def __init__(self) -> None:
        #: What is called with each loss, in the step in which the book goes out of sync.
        self.losses: LossWatchers[BookLost] = LossWatchers()
        #: The latest loss, and how many there were.
        self.lost: BookLost | None = None
        self.loss_count: int = 0
        #: The book, in step with the feed: that of the feed, or one of its own.
        self.state: DepthState = DepthState()
        self._shared: DepthState = self.state
        #: What ended the feed, and its traceback; None while the feed goes on.
        self.closed: Exception | None = None
        self.trace: TracebackType | None = None
        #: Tasks that wait for a change of the book, or for the end.
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self._applied = 0

    def attach(self, state: FeedState[Depth]) -> None:
        """Read the book of a feed from now on."""
        self.state = self._shared = cast("DepthState", state)

    def join(self, state: FeedState[Depth]) -> bool:  # noqa: ARG002 - `attach` took it
        """Read the book that is there."""
        return self.state.is_known

    def put_nowait(self, items: Sequence[Depth]) -> None:
        """Take note of items of the feed, and wake the tasks that wait for a change."""
        if self.state is not self._shared:
            if any(isinstance(item, OrderBook) for item in items):
                self.state = self._shared
            else:
                self.state.apply(items)
        self._applied += len(items)
        self.changed.unpark_all()

    def begin(self, items: Sequence[Depth]) -> None:
        """Begin again with a book of its own."""
        self.state = DepthState()
        self.state.add_consumer("state")
        self.state.apply(items)
        self._applied += len(items)
        self.changed.unpark_all()

    def lose(self, loss: StreamLost) -> None:
        """Note that the book is out of sync, and tell the blocks and iterations that depend on it."""
        self.lost = lost = BookLost(loss.reason, loss.since_ns)
        self.loss_count += 1
        self.losses.notify(lost)
        self.changed.unpark_all()

    def close(self, error: Exception) -> None:
        """Note what ended the feed and wake the tasks that wait."""
        self.closed, self.trace = error, error.__traceback__
        self.changed.unpark_all()

    def statistics(self) -> ConsumerStatistics:
        """Return the counts as they are now: items are applied at once, and ``changes()`` conflates."""
        return ConsumerStatistics(
            delivered=self._applied,
            dropped=0,
            merged=0,
            overflow="conflate",
            max_buffer_size=0,
            current_buffer_used=0,
            peak_buffer_used=0,
            tasks_waiting_send=0,
            tasks_waiting_receive=len(self.changed),
        )
