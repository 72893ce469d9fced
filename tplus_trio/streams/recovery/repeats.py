"""Which changes a connection has brought already: a bounded memory of their numbers and contents."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final

from tplus_trio.models import OrderBookDiff
from tplus_trio.streams.recovery.continuity import Discontinuity

__all__ = ["FAR_BACK", "RepeatDetector"]

#: A number that falls back by more than this is not a repeat: the service has started over.
FAR_BACK: Final = 1000
#: How many of the connection's last changes are remembered, to compare repeats by content. Each change is kept whole,
#: which takes 0.7 KB: more of them would cost more than an occasional snapshot.
_REMEMBERED: Final = 64
#: As many repeats in a row are taken for a restart of the service, which costs one snapshot. The limit doubles each
#: time, until a change follows.
_MAX_REPEATS: Final = 50


class RepeatDetector:
    """Tells repeats from changes of another book, for numbers at or below the highest of the connection.

    A repeat has the content that came under the same number before. The memory is bounded: a change that is older than
    all it holds cannot be recognised.
    """

    __slots__ = ("_limit", "_run", "highest", "recent")

    def __init__(self) -> None:
        #: The last changes that the connection brought, by rising number.
        self.recent: deque[OrderBookDiff] = deque(maxlen=_REMEMBERED)
        #: The highest number that the connection brought, -1 before the first.
        self.highest: int = -1
        #: Repeats in a row, and how many of them mean a restart.
        self._run = 0
        self._limit = _MAX_REPEATS

    def fork(self) -> RepeatDetector:
        """Return a copy that goes its own way from here."""
        other = copy.copy(self)
        other.recent = self.recent.copy()
        return other

    def add(self, diff: OrderBookDiff) -> None:
        """Remember a change whose number is above all others. It ends a run of repeats."""
        self.recent.append(diff)
        self.highest = diff.sequence_number
        self._run = 0

    def take_back(self, diffs: Sequence[OrderBookDiff]) -> None:
        """Remove the changes that were added last, because they will be added again."""
        if not diffs:
            return
        for _ in diffs[: len(self.recent)]:
            self.recent.pop()
        self.highest = self.recent[-1].sequence_number if self.recent else -1

    def forget(self) -> None:
        """Remove all changes: numbers to come are not comparable with theirs."""
        self.recent.clear()
        self.highest = -1
        self._run = 0

    def end_run(self) -> None:
        """The next repeat is the first in a row."""
        self._run = 0

    def settle(self) -> None:
        """A change followed the one before: end the run, and restore its limit."""
        self._run = 0
        self._limit = _MAX_REPEATS

    def examine(self, diff: OrderBookDiff) -> Discontinuity | None:
        """Examine a change whose number is at or below the highest.

        Returns:
            Why the change is not a repeat; None if it is one, and can be dropped.
        """
        number = diff.sequence_number
        if self.highest - number > FAR_BACK:
            return Discontinuity("the sequence numbers started over", has_restarted=True)
        if not self._contains(diff):
            reason = f"sequence number {number} came after {self.highest}, and had not come with this content"
            return Discontinuity(reason, has_restarted=False)
        self._run += 1
        if self._run < self._limit:
            return None
        self._limit *= 2
        return Discontinuity(f"{self._run} repeats came in a row", has_restarted=True)

    def _contains(self, diff: OrderBookDiff) -> bool:
        recent, number = self.recent, diff.sequence_number
        index = bisect_left(recent, number, key=lambda each: each.sequence_number)
        if index == len(recent):
            return False
        same = recent[index]
        return same.sequence_number == number and same.bids == diff.bids and same.asks == diff.asks
