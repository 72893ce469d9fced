"""Order-book depth: a snapshot, then every change after it, and again from the start after a loss."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final, Literal, TypeAlias, get_args

from tplus_trio.levels import latest_levels, says_the_same
from tplus_trio.models import Gap, LinkedDiff, OrderBook, OrderBookDiff
from tplus_trio.streams.recovery.base import Recovery
from tplus_trio.streams.stats import StreamStats

__all__ = ["Depth", "DepthRecovery", "Sequencing", "check_sequencing", "conflate_depth"]

_log = logging.getLogger("tplus_trio.streams")

#: What comes out of a depth stream; a `Gap` only with ``overflow="drop_oldest"``.
Depth: TypeAlias = OrderBook | OrderBookDiff | Gap

#: What "the next sequence number" means.
Sequencing = Literal["auto", "contiguous", "increasing"]

#: A number that falls back by more than this is no repeat: the service has started over.
_FAR_BACK: Final = 1000
#: Nor are this many repeats in a row. (Taking repeats for a new beginning costs one snapshot, and no more.)
_MANY_REPEATS: Final = 5
#: Nor are this many changes in a row that a snapshot is ahead of: it may be about the book of before. (The number
#: doubles until a change follows, since a connection may really be that far behind.)
_CATCHING_UP: Final = 50
#: Fresh snapshots in a row, each followed at once by a jump, after which a service's numbers are held not to be
#: contiguous.
_STRIKES: Final = 5


def check_sequencing(sequence: str) -> None:
    """Check a depth stream's ``sequence`` argument.

    Raises:
        ValueError: it is none of the legal ones.
    """
    if sequence not in get_args(Sequencing):
        msg = f"sequence is one of {', '.join(get_args(Sequencing))}, not {sequence!r}"
        raise ValueError(msg)


class DepthRecovery(Recovery[Depth]):
    """Chains diffs to snapshots.

    While a snapshot is awaited, diffs are held. A snapshot is good if it was asked for when the subscription stood, or
    if a held diff proves that nothing lies between the two; and if it is not older than the first held diff allows.
    """

    def __init__(
        self, now_ns: Callable[[], int], stats: StreamStats, *, sequence: Sequencing, name: str = "depth"
    ) -> None:
        super().__init__(now_ns, stats)
        self._name = name
        self._sequence = sequence
        self._contiguous = sequence != "increasing"
        # Only contiguous numbers can prove an early snapshot good.
        self.eager: bool = self._contiguous
        self.page = 0
        self._held: list[OrderBookDiff] = []
        #: The sequence number of what was delivered last; None while a snapshot is awaited.
        self._last: int | None = None
        #: The highest number that came over this connection since the last loss.
        self._highest = -1
        #: A snapshot that was asked for too early to be good without proof.
        self._early: OrderBook | None = None
        #: The highest number that came before the last loss: a snapshot below it is not of now, unless the service has
        #: started over; and how many such snapshots were not believed.
        self._reached = -1
        self._doubted = 0
        #: After a snapshot that went back: the number from which on changes may still be those of before.
        self._former = -1
        self._repeats = 0
        #: How many changes came that the snapshot had already, and how many of them are believed.
        self._behind = 0
        self._most_behind = _CATCHING_UP
        self._strikes = 0
        #: Whether the next diff is the first after a snapshot.
        self._fresh = False
        self._snapshots = 0

    @property
    def held(self) -> int:
        return len(self._held)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self._restart()

    def _restart(self) -> None:
        self._reached = max(self._reached, self._highest, -1 if self._last is None else self._last)
        self._held.clear()
        self._early = None
        self._last = None
        self._highest = -1
        self._repeats = 0
        self.page = 0
        self._supersede()

    def receive(self, items: Sequence[Depth]) -> Sequence[Depth]:
        diffs: Sequence[OrderBookDiff] = items  # type: ignore[assignment]  # nothing but diffs comes over the feed
        if self._last is None:
            self._hold(diffs)
            return self._use_early()
        return self._chain(diffs)

    def _hold(self, diffs: Iterable[OrderBookDiff]) -> None:
        """Keep diffs for the snapshot to come, in order, without repeats."""
        for diff in diffs:
            number = diff.sequence_number
            if number <= self._highest:
                self._repeats += 1
                if self._highest - number <= _FAR_BACK and self._repeats < _MANY_REPEATS:
                    continue
                # The service has started over: what it said before is about another book.
                self._held.clear()
                self._early = None
                self._reached = -1
                self._supersede()
            self._repeats = 0
            self._highest = number
            self._held.append(diff)

    def _chain(self, diffs: Sequence[OrderBookDiff]) -> Sequence[Depth]:
        """Deliver the diffs that follow; drop repeats; start over at a jump."""
        last = self._last
        assert last is not None  # noqa: S101 - for the type checker: the callers see to it
        number = last
        for diff in diffs:
            number += 1
            if diff.sequence_number != number:
                break
        else:
            # What nearly always comes: nothing to look at more closely.
            if diffs:
                self._last = self._highest = number
                self._follows()
            return diffs
        out: list[Depth] = []
        for index, diff in enumerate(diffs):
            number = diff.sequence_number
            if number == last + 1:
                last = self._highest = number
                self._follows()
                out.append(diff)
            elif number <= last:
                if self._is_new_beginning(number, last):
                    self._break("the sequence numbers started over", diffs[index:])
                    self._reached = -1
                    return out
            elif self._contiguous and not self._gives_in():
                self._break(f"sequence number {number} came after {last}", diffs[index:])
                return out
            elif self._former >= 0 and number > self._former:
                # It may have been under way when the service started over, and numbers that jump cannot tell.
                self._break(f"sequence number {number} came after the service went back to {last}", ())
                return out
            else:
                self._former = -1
                out.append(LinkedDiff(diff.bids, diff.asks, number, last))
                last = self._highest = number
                self._repeats = 0
        self._last = last
        return out

    def _follows(self) -> None:
        """A change followed the one before: whatever was suspected is settled."""
        self._repeats = self._strikes = 0
        self._most_behind = _CATCHING_UP
        self._fresh = False

    def _is_new_beginning(self, number: int, last: int) -> bool:
        """Whether a number that is not new means that the service has started over."""
        if number > self._highest:
            # The snapshot was ahead of the connection, which is now catching up.
            first, self._highest = self._highest < 0, number
            self._repeats = 0
            self._behind += 1
            if self._behind <= self._most_behind:
                return first and last - number > _FAR_BACK
            self._most_behind *= 2
            return True
        self._repeats += 1
        return last - number > _FAR_BACK or self._repeats >= _MANY_REPEATS

    def _gives_in(self) -> bool:
        """Count a jump; say whether jumps are this service's way of counting."""
        if not self._fresh:
            self._strikes = 0
            return False
        self._fresh = False
        self._strikes += 1
        if self._sequence != "auto" or self._strikes < _STRIKES:
            return False
        _log.warning(
            "%s: sequence numbers are not contiguous (%d fresh snapshots in a row were followed by a jump); "
            "increasing numbers are accepted from now on, and a lost message cannot be noticed",
            self._name,
            self._strikes,
        )
        self._contiguous = False
        return True

    def _break(self, reason: str, rest: Sequence[OrderBookDiff]) -> None:
        """Continuity is lost, the connection is not: what came with the jump is held for the next snapshot."""
        _log.info("%s: %s; asking for a new snapshot", self._name, reason)
        self._stats.gaps += 1
        self._restart()
        self._hold(rest)

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[Depth]:  # noqa: ARG002 - there is one page
        snapshot: OrderBook = answer
        if early:
            self._early = snapshot
            return self._use_early()
        if self._contiguous and self._held and snapshot.sequence_number + 1 < self._held[0].sequence_number:
            return ()  # older than the first diff allows: `page` still stands
        return self._begin(snapshot) if self._is_believable(snapshot.sequence_number) else ()

    def _is_believable(self, number: int) -> bool:
        """Whether a snapshot may be of now.

        It may if it has all that came before the loss, or if what is held follows it. Else either the service has
        started over, or the snapshot is an old one, which will not be told for long.
        """
        if number >= self._reached or (self._held and self._held[0].sequence_number <= number + 1):
            return True
        self._doubted += 1
        return self._reached - number > _FAR_BACK or self._doubted >= _MANY_REPEATS

    def _use_early(self) -> Sequence[Depth]:
        """Use a snapshot from before the subscription, once the held diffs reach from before its end to there."""
        if self._early is None or not self._held or not self._contiguous:
            return ()
        snapshot, number = self._early, self._early.sequence_number
        if self._held[0].sequence_number > number + 1:
            self._early = None
            return ()
        if self._held[-1].sequence_number < number:
            return ()  # of the same book, or of the one before the service started over: the next diffs will tell
        if not self._agrees(snapshot):
            self._early = None  # of the one before
            return ()
        self._supersede()
        return self._begin(snapshot)

    def _agrees(self, snapshot: OrderBook) -> bool:
        """Whether a snapshot has what the held diffs up to its number say: else it is not of the book that they change.

        Numbers alone do not tell where a service started over while the connection was made, and has come as far again.
        """
        said = [diff for diff in self._held if diff.sequence_number <= snapshot.sequence_number]
        return says_the_same(snapshot.bids, chain.from_iterable(diff.bids for diff in said)) and says_the_same(
            snapshot.asks, chain.from_iterable(diff.asks for diff in said)
        )

    def _begin(self, snapshot: OrderBook) -> Sequence[Depth]:
        """Deliver a snapshot and what is held after it."""
        if self._snapshots:
            self._stats.resyncs += 1
        self._snapshots += 1
        held, self._held = self._held, []
        self._early = None
        self._last = number = snapshot.sequence_number
        if number < self._reached:
            self._former = self._reached
        elif number >= self._former:
            self._former = -1
        self._reached = -1
        self._doubted = self._behind = 0
        self._fresh = True
        self.page = None
        rest = [diff for diff in held if diff.sequence_number > number]
        return (snapshot, *self._chain(rest))


def conflate_depth(waiting: deque[Depth]) -> int:
    """Make what waits as short as it can be: at most a snapshot and one diff, which lead to the same book.

    The merged diff has each price's latest quantity, zeros included (they remove levels of the book before), and says
    which number it follows: the chain stays whole.

    Returns:
        How many levels the merged diff has.
    """
    items = list(waiting)
    waiting.clear()
    for index in range(len(items) - 1, -1, -1):
        if isinstance(items[index], OrderBook):
            waiting.append(items[index])
            del items[: index + 1]
            break
    diffs = [item for item in items if isinstance(item, OrderBookDiff)]
    if not diffs:
        return 0
    merged = diffs[0]
    if len(diffs) > 1:
        bids = latest_levels(chain.from_iterable(diff.bids for diff in diffs))
        asks = latest_levels(chain.from_iterable(diff.asks for diff in diffs))
        last = diffs[-1].sequence_number
        follows = diffs[0].previous_sequence_number
        merged = LinkedDiff(tuple(bids), tuple(asks), last, follows)
    waiting.append(merged)
    return len(merged.bids) + len(merged.asks)
