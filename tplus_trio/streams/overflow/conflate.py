"""``"conflate"``: waiting items are merged, so that a consumer of any speed has the newest state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Final, TypeVar

from tplus_trio.streams.overflow.base import Conflate, Overflow, OverflowOptions, OverflowRule

__all__ = ["Conflate", "ConflateWaiting", "conflate_by"]

T = TypeVar("T")

#: Items that may wait, at least, before they are merged. Merging at each item would cost as much as has been merged so
#: far; merging only when the consumer comes would cost memory.
_MIN_MERGE: Final = 64


class ConflateWaiting(OverflowRule[T]):
    """Merges waiting items when the consumer takes one, and in between when many wait. ``size`` does not matter."""

    name: ClassVar[Overflow] = "conflate"
    merges = True

    def __init__(self, options: OverflowOptions[T]) -> None:
        super().__init__(options)
        assert options.conflate is not None  # noqa: S101 - check_overflow refuses the rule to a feed without it
        self._conflate = options.conflate
        self._finish = options.finish
        self.intercepts_take: bool = True
        #: The number of waiting items at which they are merged next.
        self._merge_at = _MIN_MERGE
        self._is_merged = False
        #: Whether items were merged since the consumer last found no more than one.
        self._is_behind = False
        self._on_overflow = options.on_overflow

    def add(self, waiting: deque[T], items: Sequence[T]) -> None:
        """Add a batch, and merge if many items wait."""
        waiting.extend(items)
        self._is_merged = False
        if len(waiting) > self._merge_at:
            self._merge(waiting)

    def take(self, waiting: deque[T]) -> T:
        """Merge the waiting items and remove the first."""
        if len(waiting) <= 1:
            self._is_behind = False
        elif not self._is_merged:
            self._merge(waiting)
        item = waiting.popleft()
        return item if self._finish is None else self._finish(item)

    def _merge(self, waiting: deque[T]) -> None:
        before = len(waiting)
        work = self._conflate(waiting)
        # Each merge goes through the result of the one before, which grows while a market moves and nobody reads. So
        # the next merge comes after as many new items: an item costs the same however long nobody reads.
        self._merge_at = max(_MIN_MERGE, len(waiting) + work)
        self._is_merged = True
        merged = before - len(waiting)
        self.merged: int = self.merged + merged
        if merged and not self._is_behind:
            self._is_behind = True
            if self._on_overflow is not None:
                self._on_overflow(merged)


def conflate_by(key: Callable[[T], Hashable]) -> Conflate[T]:
    """Return a way to merge that keeps the newest item of each key, in the order in which these newest came."""

    def conflate(waiting: deque[T]) -> int:
        newest: dict[Hashable, T] = {}
        for item in waiting:
            name = key(item)
            if isinstance(name, int):
                # A service could choose numbers with equal hashes, which make a dict slow. Hashes of text are salted.
                name = str(name)
            newest.pop(name, None)
            newest[name] = item
        waiting.clear()
        waiting.extend(newest.values())
        return len(waiting)

    return conflate
