"""``"drop_oldest"``: the oldest items are dropped, and a marker stands in their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, TypeVar

from tplus_trio.streams.overflow.base import Overflow, OverflowOptions, OverflowRule

__all__ = ["DropOldest"]

T = TypeVar("T")


class DropOldest(OverflowRule[T]):
    """Drops the oldest items when there are too many, and puts a marker in their place.

    Some feeds have items that are useless without the items before them, like the diffs of a book. There, all items
    before the last snapshot are dropped together. If too many items follow that snapshot, they are merged instead, so
    that a consumer of any speed gets a book. The snapshot and one merged item wait even if ``size`` is 1.
    """

    name: ClassVar[Overflow] = "drop_oldest"

    def __init__(self, options: OverflowOptions[T]) -> None:
        super().__init__(options)
        assert options.mark_drops is not None  # noqa: S101 - for the type checker: every stream has it
        self._mark_drops = options.mark_drops
        self._is_snapshot = options.is_snapshot
        self._conflate = options.conflate
        #: Whether the first waiting item is a marker, which takes no room.
        self._is_marked = False
        #: Whether the last item that was taken is a marker.
        self._marker_taken = False

    def add(self, waiting: deque[T], items: Sequence[T]) -> None:
        """Add a batch, and make room by dropping or merging."""
        waiting.extend(items)
        if len(waiting) - self._is_marked > self.size:
            if self._is_snapshot is None:
                self._drop(waiting, len(waiting) - self.size, is_broken=False)
            else:
                self._drop_before_snapshot(waiting)
                if len(waiting) - self._is_marked > self.size:
                    self._merge_after_snapshot(waiting)

    def take(self, waiting: deque[T]) -> T:
        """Remove the next item, and remember whether it is a marker."""
        self._marker_taken, self._is_marked = self._is_marked, False
        self.intercepts_take: bool = self._marker_taken
        return waiting.popleft()

    def clear(self) -> None:
        """Forget the marker: no item waits."""
        self._is_marked = self._marker_taken = self.intercepts_take = False

    def _drop(self, waiting: deque[T], count: int, *, is_broken: bool) -> None:
        """Drop the first items, a marker among them included, and put a marker in their place."""
        if count > self._is_marked:
            self.dropped: int = self.dropped + count - self._is_marked
            self._mark(waiting, [waiting.popleft() for _ in range(count)], is_broken=is_broken)

    def _drop_before_snapshot(self, waiting: deque[T]) -> None:
        """Drop all items before the last snapshot, or all of them if no snapshot waits."""
        assert self._is_snapshot is not None  # noqa: S101 - for the type checker: the caller has checked it
        count = len(waiting)
        for index in range(len(waiting) - 1, -1, -1):
            if self._is_snapshot(waiting[index]):
                count = index
                break
        self._drop(waiting, count, is_broken=count == len(waiting))

    def _merge_after_snapshot(self, waiting: deque[T]) -> None:
        """Merge the items after the snapshot, and mark that."""
        assert self._conflate is not None  # noqa: S101 - for the type checker: a feed with snapshots has it
        marker = [waiting.popleft()] if self._is_marked else []
        before = list(waiting)
        self._conflate(waiting)
        merged_count = len(before) - len(waiting)
        self.merged: int = self.merged + merged_count
        # Nothing is missing, but the consumer does not see each of these items: that is marked too. Not twice in a
        # row, or a consumer that is slow enough would see nothing but markers.
        if merged_count and not self._marker_taken:
            self._mark(waiting, marker + before[1 : 1 + merged_count], is_broken=False)
        else:
            waiting.extendleft(marker)

    def _mark(self, waiting: deque[T], lost: Sequence[T], *, is_broken: bool) -> None:
        """Put a marker for lost items in the first place."""
        waiting.appendleft(self._mark_drops(lost, is_broken))
        self._is_marked = self.intercepts_take = True
