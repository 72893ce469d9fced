"""Which changes a connection has brought already: a bounded memory of their numbers and contents."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

from tplus_trio.codec import decode_depth_frame
from tplus_trio.models import OrderBookDiff
from tplus_trio.streams.recovery.continuity import Discontinuity

__all__ = ["FAR_BACK", "RepeatDetector", "Source"]

#: What a change was read from: its message. Or the change itself, where the message is not known any more.
Source: TypeAlias = bytes | str | OrderBookDiff

#: A number that falls back by more than this is not a repeat: the service has started over.
FAR_BACK: Final = 1000
#: How many of the connection's last changes are remembered, to compare repeats by content. Their messages are kept: of
#: one level a side, these take a sixth of the memory of the changes, and the garbage collector does not look at them.
_REMEMBERED: Final = 64
#: As many repeats in a row are taken for a restart of the service, which costs one snapshot. The limit doubles each
#: time, until a change follows.
_MAX_REPEATS: Final = 50


class RepeatDetector:
    """Tells repeats from changes of another book, for numbers at or below the highest of the connection.

    A repeat has the content that came under the same number before. The memory is bounded: a change that is older than
    all it holds cannot be recognised.
    """

    __slots__ = ("_limit", "_numbers", "_run", "_sources", "highest")

    def __init__(self) -> None:
        #: The numbers of the last changes that the connection brought, rising, and what each was read from.
        self._numbers: deque[int] = deque(maxlen=_REMEMBERED)
        self._sources: deque[Source] = deque(maxlen=_REMEMBERED)
        #: The highest number that the connection brought, -1 before the first.
        self.highest: int = -1
        #: Repeats in a row, and how many of them mean a restart.
        self._run = 0
        self._limit = _MAX_REPEATS

    def __len__(self) -> int:
        return len(self._numbers)

    def fork(self) -> RepeatDetector:
        """Return a copy that goes its own way from here."""
        other = copy.copy(self)
        other._numbers, other._sources = self._numbers.copy(), self._sources.copy()
        return other

    def add(self, number: int, source: Source) -> None:
        """Remember a change whose number is above all others. It ends a run of repeats."""
        self._numbers.append(number)
        self._sources.append(source)
        self.highest = number
        self._run = 0

    def add_following(self, numbers: range, sources: Sequence[Source]) -> None:
        """Remember changes, of which the first has the number after the highest. Runs of repeats are not looked at."""
        self._numbers.extend(numbers)
        self._sources.extend(sources)
        self.highest = numbers[-1]

    def take_back(self, count: int) -> Sequence[Source]:
        """Remove the changes that were added last, because they will be added again.

        Returns:
            What they were read from. ``b""`` stands for what is no longer remembered: it equals nothing.
        """
        known = min(count, len(self._numbers))
        sources = [self._sources.pop() for _ in range(known)][::-1]
        for _ in range(known):
            self._numbers.pop()
        self.highest = self._numbers[-1] if self._numbers else -1
        return [b""] * (count - known) + sources

    def forget(self) -> None:
        """Remove all changes: numbers to come are not comparable with theirs."""
        self._numbers.clear()
        self._sources.clear()
        self.highest = -1
        self._run = 0

    def end_run(self) -> None:
        """The next repeat is the first in a row."""
        self._run = 0

    def settle(self) -> None:
        """A change followed the one before: end the run, and restore its limit."""
        self._run = 0
        self._limit = _MAX_REPEATS

    def examine(self, diff: OrderBookDiff, source: Source) -> Discontinuity | None:
        """Examine a change whose number is at or below the highest.

        Returns:
            Why the change is not a repeat; None if it is one, and can be dropped.
        """
        number = diff.sequence_number
        if self.highest - number > FAR_BACK:
            return Discontinuity("the sequence numbers started over", has_restarted=True)
        if not self._contains(diff, source):
            reason = f"sequence number {number} came after {self.highest}, and had not come with this content"
            return Discontinuity(reason, has_restarted=False)
        self._run += 1
        if self._run < self._limit:
            return None
        self._limit *= 2
        return Discontinuity(f"{self._run} repeats came in a row", has_restarted=True)

    def _contains(self, diff: OrderBookDiff, source: Source) -> bool:
        numbers, number = self._numbers, diff.sequence_number
        index = bisect_left(numbers, number)
        if index == len(numbers) or numbers[index] != number:
            return False
        before = self._sources[index]
        if before == source:
            return True
        # The same numbers may be spelled in another way.
        if isinstance(before, bytes | str):
            if not before:
                return False
            (before,) = decode_depth_frame(before)
        return before.bids == diff.bids and before.asks == diff.asks
