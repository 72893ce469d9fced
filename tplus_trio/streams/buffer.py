"""Where decoded items wait for their consumer: a memory channel for batches, bounded by an overflow rule."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import trio

from tplus_trio.streams.feed_state import Needs
from tplus_trio.streams.overflow import OverflowRule
from tplus_trio.streams.sink import ConsumerSink
from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["Buffer"]

T = TypeVar("T")

_checkpoint_if_cancelled: Final = trio.lowlevel.checkpoint_if_cancelled
#: Items that a consumer takes before its neighbours get a turn. Two batches are as many as can have come since its last
#: turn; with fewer, more and more would be decoded and not yet taken.
_TURN: Final = 256


class Buffer(ConsumerSink[T], AsyncIterator[T]):
    """Items on their way from one producer to one consumer.

    A batch costs one task switch: `put_nowait` adds it and wakes the consumer, which then takes item after item without
    waiting.

    Args:
        rule: What happens when more items wait than it allows. It belongs to this buffer alone.
    """

    def __init__(self, rule: OverflowRule[T]) -> None:
        self._rule = rule
        self.needs: Needs = "merged" if rule.merges else "items"
        self._items: deque[T] = deque()
        self._consumers = rule.consumers
        self._end: Exception | None = None
        self._trace: TracebackType | None = None
        #: Items that the consumer has taken in its present turn.
        self._taken = 0
        #: Items that were added and neither dropped nor merged since. All that do not wait were delivered.
        self._kept = 0
        #: The most items that have waited.
        self._peak = 0
        #: Is called when the consumer asks for an item and none waits.
        self._when_empty: Callable[[], object] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether more items wait than there is room for, and the rule is to wait for the consumer."""
        return self._rule.blocks and len(self._items) > self._rule.size

    @property
    def has_untaken(self) -> bool:
        """Whether items wait."""
        return bool(self._items)

    async def wait_for_room(self) -> None:
        """Wait while the buffer is full, or until `release`. Cancelling it changes nothing."""
        await self._rule.wait_for_room(self._items)

    def release(self) -> None:
        """Let no task wait for room that waits now."""
        self._rule.release()

    def when_empty(self, call: Callable[[], object]) -> None:
        """Call a function once, when the consumer asks for an item and none waits; it may add items."""
        self._when_empty = call

    def count_dropped(self, count: int) -> None:
        """Count items that the consumer misses because it is too slow."""
        self._rule.dropped += count

    def put_nowait(self, items: Sequence[T]) -> None:
        """Add a batch without waiting, however many items wait already. A closed buffer ignores it.

        Raises:
            SlowConsumer: the buffer is full and the rule is ``"error"``. The items that there was room for were added.
        """
        if self._end is not None or not items:
            return
        waiting, consumers = self._items, self._consumers
        before = len(waiting)
        try:
            self._rule.add(waiting, items)
        finally:
            count = len(waiting)
            self._kept += count - before
            if count > self._peak:  # noqa: PLR1730 - max() is a call, for each batch
                self._peak = count
            if consumers:
                consumers.unpark(count=count)

    def __aiter__(self) -> Self:
        return self

    # A stream hands out this method itself: at a hundred thousand items a second, each call in between costs.
    async def __anext__(self) -> T:
        """Take the next item, and wait for it if there is none.

        This is a full checkpoint when it waits, and at the end of each turn of 256 items. In between it only looks for
        cancellation. Cancelled, it has taken nothing.

        Raises:
            Exception: the error that the buffer was closed with, once no item waits.
        """
        items, taken = self._items, self._taken
        if items and taken < _TURN:
            await _checkpoint_if_cancelled()
            self._taken = taken + 1
        else:
            if self._when_empty is not None and not items:
                refill, self._when_empty = self._when_empty, None
                refill()
            if items or self._end is not None:
                await trio.lowlevel.checkpoint()
            # Otherwise waiting is the checkpoint: a second one would cost a pass of the loop for each lone item.
            while not items:
                if self._end is not None:
                    # With the first traceback: otherwise it would grow by the frames of each consumer.
                    raise self._end.with_traceback(self._trace)
                await self._consumers.park()
            self._taken = 1
        if self._rule.intercepts_take:
            before = len(items)
            item = self._rule.take(items)
            self._kept += len(items) + 1 - before
            return item
        return items.popleft()

    def close(self, error: Exception) -> None:
        """Accept no more items. The consumer gets those that wait, then ``error``. A second call changes nothing."""
        if self._end is None:
            self._end, self._trace = error, error.__traceback__
            self._consumers.unpark_all()
            self._rule.close()

    def clear(self) -> None:
        """Drop the items that wait, without counting them as dropped."""
        self._kept -= len(self._items)
        self._items.clear()
        self._rule.clear()

    def statistics(self) -> ConsumerStatistics:
        """Return the consumer's counts as they are now."""
        rule, used = self._rule, len(self._items)
        return ConsumerStatistics(
            delivered=self._kept - used,
            dropped=rule.dropped,
            merged=rule.merged,
            overflow=rule.name,
            max_buffer_size=rule.size,
            current_buffer_used=used,
            peak_buffer_used=self._peak,
            tasks_waiting_send=rule.tasks_waiting,
            tasks_waiting_receive=len(self._consumers),
        )
