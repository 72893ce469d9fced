"""Where decoded items wait for their consumer: a memory channel for batches, which knows what to do when it is full."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from types import TracebackType
from typing import Final, Literal, Self, TypeVar, get_args

import trio

from tplus_trio.arguments import check_count
from tplus_trio.errors import SlowConsumer
from tplus_trio.streams.stats import StreamStats
from tplus_trio.streams.decode_limiter import Turns

__all__ = ["Buffer", "Conflate", "Overflow", "check_overflow", "conflate_by"]

T = TypeVar("T")

#: What a stream does whose buffer is full.
Overflow = Literal["block", "drop_oldest", "error", "conflate"]

#: Makes the items that wait as few as say the same, in place; says how much there still is to go through.
Conflate = Callable[[deque[T]], int]

_checkpoint_if_cancelled: Final = trio.lowlevel.checkpoint_if_cancelled
#: A consumer that finds items waiting takes this many before its neighbours get a turn. Two batches are as many as can
#: have come since its last one; were it fewer, more and more would be decoded and not yet taken.
_TURN: Final = 256
#: So many may wait, at least, before they are merged.
_FEW: Final = 64


def check_overflow(overflow: str, buffer: int, *, can_conflate: bool) -> None:
    """Check a stream's overflow policy and its buffer's size.

    Raises:
        TypeError: ``buffer`` is not a whole number.
        ValueError: the policy is unknown or not to be had for this feed, or the size is less than 1.
    """
    legal = [policy for policy in get_args(Overflow) if can_conflate or policy != "conflate"]
    if overflow not in legal:
        msg = f"overflow is one of {', '.join(legal)} for this feed, not {overflow!r}"
        raise ValueError(msg)
    check_count("buffer", buffer)


class Buffer(AsyncIterator[T]):
    """Items on their way from one pump to one consumer.

    A batch costs one hop: `put` adds it and wakes the consumer, who then takes item after item without waiting. With
    ``"block"``, `put` adds the batch whole and then waits until there is room again, so that the order of items is the
    order of the calls, and a cancelled `put` has lost nothing.

    Args:
        size: How many items may wait.
        overflow: What to do when more do.
        conflate: For ``"conflate"``: how waiting items are merged.
        dropped: For ``"drop_oldest"``: called with the items dropped, and whether those that come now are worth nothing
            without them, it returns the mark to stand in their place.
        begins: For items that are worth nothing without the one before: which ones are. All that wait before the last
            of them are dropped together; what follows it is merged instead, so that there is always a book for a
            consumer of any speed. (It and one merged item wait, even if ``size`` is 1.)
        stats: Where dropped and merged items are counted.
        turns: Where it is counted who is woken.
    """

    def __init__(
        self,
        size: int,
        overflow: Overflow = "block",
        *,
        conflate: Conflate[T] | None = None,
        dropped: Callable[[Sequence[T], bool], T] | None = None,
        begins: Callable[[T], bool] | None = None,
        stats: StreamStats | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._size = size
        self._overflow = overflow
        self._conflate = conflate
        self._dropped = dropped
        self._begins = begins
        self._stats = stats or StreamStats()
        self._turns = turns or Turns()
        #: Whether the first item is a mark, which takes no place beside ``size``.
        self._marked = False
        #: Whether the last item taken was one.
        self._mark_taken = False
        self._items: deque[T] = deque()
        self._consumer = trio.lowlevel.ParkingLot()
        self._producers = trio.lowlevel.ParkingLot()
        self._end: Exception | None = None
        self._trace: TracebackType | None = None
        self._taken = 0
        #: How many items may wait before they are merged, and whether those that wait are.
        self._merge_at = _FEW
        self._is_merged = False
        #: Whether a producer waits for room.
        self._waiting = False
        self._is_plain = overflow != "conflate"
        #: How many of the items that wait, the first ones, came at once to a consumer that waited for them.
        self._excused = 0

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, items: Sequence[T]) -> None:
        """Add a batch, and wait while the buffer is full where the policy says so.

        Raises:
            SlowConsumer: the buffer is full and the policy is ``"error"``. What there was room for was added. A batch
                for which the consumer waits is taken whole, however large it is.
        """
        self.put_nowait(items)
        if self._overflow == "block":
            while len(self._items) > self._size and self._end is None:
                self._waiting, self._is_plain = True, False
                await self._producers.park()

    def put_nowait(self, items: Sequence[T]) -> None:
        """Add a batch without waiting, however many wait already.

        Raises:
            SlowConsumer: as for `put`.
        """
        if self._end is not None or not items:
            return
        if self._overflow == "error" and not self._has_room(len(items)):
            room = max(0, self._size + self._excused - len(self._items))
            self._items.extend(items[:room])
            self._wake(room)
            raise SlowConsumer(self._size)
        self._items.extend(items)
        self._is_merged = False
        if self._overflow == "conflate":
            # Merging at each item would cost as much as what was merged so far; merging at the end, memory.
            if len(self._items) > self._merge_at:
                self._merge()
        elif self._overflow == "drop_oldest" and len(self._items) - self._marked > self._size:
            self._drop()
        self._wake(len(self._items))

    def _has_room(self, count: int) -> bool:
        """Whether so many items more are no sign of a slow consumer."""
        if not self._items and self._consumer and count > self._size:
            # It waits, and cannot take in time what comes at once, as after a recovery.
            self._excused, self._is_plain = count, False
        return len(self._items) + count <= self._size + self._excused

    def _wake(self, count: int) -> None:
        self._turns.woken(len(self._consumer.unpark(count=count)))

    def _merge(self) -> None:
        assert self._conflate is not None  # noqa: S101 - for the type checker: the policy comes with it
        if self._is_merged:
            return
        before = len(self._items)
        # What was merged is gone through each time. It can be much (a market wanders, and nobody reads), so the next
        # time is when as much came again: an item costs the same, however long nobody reads.
        more = self._conflate(self._items)
        self._merge_at = max(_FEW, len(self._items) + more)
        self._is_merged = True
        self._stats.dropped += before - len(self._items)

    def _drop(self) -> None:
        items = self._items
        if self._begins is None:
            count = len(items) - self._size
        else:
            count = next((n for n in range(len(items) - 1, -1, -1) if self._begins(items[n])), len(items))
        if count > self._marked:
            self._stats.dropped += count - self._marked
            self._mark([items.popleft() for _ in range(count)], broken=self._begins is not None and not items)
        if self._begins is not None and len(items) - self._marked > self._size:
            before = [items.popleft()] if self._marked else []
            waiting = list(items)
            self._merge()
            # What was merged is dropped too, as an item: the consumer is told of it, though nothing is missing. Told
            # once: one that is slow enough would hear of nothing else.
            if (merged := waiting[1 : 1 + len(waiting) - len(items)]) and not self._mark_taken:
                self._mark(before + merged, broken=False)
            else:
                items.extendleft(before)

    def _mark(self, lost: Sequence[T], *, broken: bool) -> None:
        """Put a mark in the place of what is lost."""
        assert self._dropped is not None  # noqa: S101 - for the type checker: the policy comes with it
        self._items.appendleft(self._dropped(lost, broken))
        self._marked, self._is_plain = True, False

    def __aiter__(self) -> Self:
        return self

    # Itself what a loop calls: at a hundred thousand items a second, each call in between is felt.
    async def __anext__(self) -> T:
        """Take the next item, waiting for it where there is none.

        A full checkpoint where it waits and at the end of each turn; in between, cancellation is looked for at each
        item. Cancelled, it has taken nothing.

        Raises:
            Exception: what the buffer was closed with, once it is empty.
        """
        items = self._items
        if items and self._taken < _TURN:
            await _checkpoint_if_cancelled()
            self._taken += 1
        else:
            if items or self._end is not None:
                await trio.lowlevel.checkpoint()
            # Else waiting is the checkpoint: a second one would cost a pass of the loop for each lone item.
            while not items:
                if self._end is not None:
                    # Each time from the same point: it would grow by the frames of every consumer before.
                    raise self._end.with_traceback(self._trace)
                await self._consumer.park()
                self._turns.arrived()
            self._taken = 1
        if self._is_plain:
            return items.popleft()
        if self._overflow == "conflate" and len(items) > 1:
            self._merge()
        self._mark_taken, self._marked = self._marked, False
        item = items.popleft()
        self._excused = max(0, self._excused - 1)
        if self._waiting and len(items) <= self._size // 2:
            self._waiting = False
            self._producers.unpark_all()
        self._set_plain()
        return item

    def _set_plain(self) -> None:
        """Say whether taking an item is nothing but that, as it nearly always is."""
        special = self._waiting or self._marked or self._mark_taken or self._excused
        self._is_plain = not (special or self._overflow == "conflate")

    def close(self, error: Exception) -> None:
        """Take no more items. What waits can still be taken; then asking for more raises ``error``."""
        if self._end is None:
            self._end, self._trace = error, error.__traceback__
            self._wake(len(self._consumer))
            self._producers.unpark_all()

    def clear(self) -> None:
        """Forget what waits."""
        self._items.clear()
        self._marked = self._mark_taken = self._waiting = False
        self._excused = 0
        self._producers.unpark_all()
        self._set_plain()


def conflate_by(key: Callable[[T], Hashable]) -> Conflate[T]:
    """A way to conflate that keeps the newest item of each key, in the place of that newest.

    A key that is a whole number stands in the table as text: a service could choose numbers whose hashes are equal.
    """

    def conflate(waiting: deque[T]) -> int:
        newest: dict[Hashable, T] = {}
        for item in waiting:
            name = key(item)
            if isinstance(name, int):
                name = str(name)
            newest.pop(name, None)
            newest[name] = item
        waiting.clear()
        waiting.extend(newest.values())
        return len(waiting)

    return conflate
