"""What stands in a stream in place of items that a slow consumer missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tplus_trio.models import Gap
from tplus_trio.streams.feed_state import slow_gap
from tplus_trio.streams.recovery.watermark import times_of

__all__ = ["DropMarker"]


class DropMarker:
    """Makes the `Gap` for the items that one buffer dropped.

    Args:
        now_ns: Returns the time, in nanoseconds since the Unix epoch.
        on_overflow: Called with the number of dropped items when items are dropped for the first time since the
            consumer took the last marker.
    """

    def __init__(self, now_ns: Callable[[], int], on_overflow: Callable[[int], object]) -> None:
        self._now_ns = now_ns
        self._on_overflow = on_overflow
        self._last: Gap | None = None
        #: Items that the last marker stands for.
        self._count = 0
        #: Called when the items after dropped ones are useless; None if that never happens.
        self.begin_again: Callable[[], None] | None = None

    def mark(self, lost: Sequence[Any], is_broken: bool) -> Gap:
        """Make the marker.

        Args:
            lost: The dropped items, at least one. They begin with the marker before if nobody has taken that yet: the
                new one then stands for its items too.
            is_broken: Whether the items that come next are useless without them. Then the consumer begins again.
        """
        now = self._now_ns()
        spans = [times_of(item, now) for item in lost]
        since = min(since for since, _ in spans)
        if lost[0] is self._last:
            self._count -= 1
        else:
            self._count = 0
            self._on_overflow(len(lost))
        self._count += len(lost)
        until = max(until for _, until in spans)
        self._last = slow_gap(since, until, self._count)
        if is_broken and self.begin_again is not None:
            self.begin_again()
        return self._last
