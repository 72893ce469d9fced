"""Order-book depth: a snapshot, then every change after it, and again from the start after a loss."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final, Literal, TypeAlias, get_args

from tplus_trio.levels import says_the_same
from tplus_trio.models import Gap, LinkedDiff, OrderBook, OrderBookDiff
from tplus_trio.streams.recovery.interface import Recovery
from tplus_trio.streams.stats import StreamStats

__all__ = ["Depth", "DepthRecovery", "Sequencing", "check_sequencing"]

_log = logging.getLogger("tplus_trio.streams")

#: What comes out of a depth stream; a `Gap` only with ``overflow="drop_oldest"``.
Depth: TypeAlias = OrderBook | OrderBookDiff | Gap

#: What "the next sequence number" means.
Sequencing = Literal["auto", "contiguous", "increasing"]

#: A number that falls back by more than this is no repeat: the service has started over.
_FAR_BACK: Final = 1000
#: How many of the changes that a connection brought are remembered, to know repeats by their content. Each is kept
#: whole; many more would leave the processor's cache, which costs more than to ask for a snapshot now and then.
_REMEMBERED: Final = 256
#: Nor are this many repeats in a row. (Taking repeats for a new beginning costs one snapshot. The number doubles until
#: a change follows.)
_MANY_REPEATS: Final = 50
#: So many snapshots from before the loss in a row are believed after all.
_MANY_DOUBTED: Final = 5
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
        self.pending_request = 0
        self._held: list[OrderBookDiff] = []
        #: The sequence number of what was delivered last; None while a snapshot is awaited.
        self._last: int | None = None
        #: The changes that came over this connection, numbers rising; and the highest number.
        self._brought: deque[OrderBookDiff] = deque(maxlen=_REMEMBERED)
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
        self._most_repeats = _MANY_REPEATS
        #: How many changes came that the snapshot had already, and how many of them are believed.
        self._behind = 0
        self._most_behind = _CATCHING_UP
        self._strikes = 0
        self._has_warned = False
        #: Whether the next diff is the first after a snapshot.
        self._fresh = False
        self._snapshots = 0

    @property
    def held(self) -> int:
        return len(self._held)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self._restart()
        self._forget()
        # How another connection, perhaps to another server, counts is to be proved again.
        self._contiguous = self._sequence != "increasing"
        self._strikes = 0

    def hole(self, reason: str) -> Sequence[Depth]:
        super().lost(reason)
        self._restart()
        return self.subscribed()

    def _restart(self) -> None:
        """Await a snapshot; what came over this connection stays known."""
        self._reached = max(self._reached, self._highest, -1 if self._last is None else self._last)
        self._held.clear()
        self._early = None
        self._last = None
        self._repeats = 0
        self.pending_request = 0
        self._supersede()

    def _forget(self) -> None:
        """What came so far says nothing about numbers to come."""
        self._brought.clear()
        self._highest = -1
        self._repeats = 0

    def _bring(self, diff: OrderBookDiff) -> None:
        self._brought.append(diff)
        self._highest = diff.sequence_number

    def _is_repeat(self, diff: OrderBookDiff) -> bool:
        """Whether this connection brought the same change under the same number."""
        brought, number = self._brought, diff.sequence_number
        index = bisect_left(brought, number, key=lambda each: each.sequence_number)
        if index == len(brought):
            return False
        same = brought[index]
        return same.sequence_number == number and same.bids == diff.bids and same.asks == diff.asks

    def receive(self, items: Sequence[Depth]) -> Sequence[Depth]:
        diffs: Sequence[OrderBookDiff] = items  # type: ignore[assignment]  # nothing but diffs comes over the feed
        if self._last is None:
            self._hold(diffs)
            return self._use_early()
        return self._chain(diffs)

    def _hold(self, diffs: Iterable[OrderBookDiff]) -> None:
        """Keep diffs for the snapshot to come, in order, without repeats."""
        for diff in diffs:
            if diff.sequence_number > self._highest:
                self._repeats = 0
                self._bring(diff)
                self._held.append(diff)
            elif (suspicion := self._suspicion(diff)) is not None:
                self._begin_again(diff, has_restarted=suspicion[1])

    def _suspicion(self, diff: OrderBookDiff) -> tuple[str, bool] | None:
        """Why a number at or below the highest that this connection brought is no repeat; None if it is one.

        And whether that means that the service has started over, in which case any snapshot is believed.
        """
        number = diff.sequence_number
        if self._highest - number > _FAR_BACK:
            return "the sequence numbers started over", True
        if not self._is_repeat(diff):
            return f"sequence number {number} came after {self._highest}, and had not come with this content", False
        self._repeats += 1
        if self._repeats < self._most_repeats:
            return None
        self._most_repeats *= 2
        return f"{self._repeats} repeats came in a row", True

    def _begin_again(self, diff: OrderBookDiff, *, has_restarted: bool) -> None:
        """What came before a change may be about another book; await a snapshot of the one that it is about."""
        self._early = None
        self._forget()
        self._bring(diff)
        self._reached = -1 if has_restarted else diff.sequence_number
        # Where a snapshot is believed only if it has the change, the change itself is of no use.
        self._held = [diff] if has_restarted else []
        self._supersede()

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
                self._brought.extend(diffs)
                self._follows()
            return diffs
        return self._chain_slowly(diffs, last)

    def _chain_slowly(self, diffs: Sequence[OrderBookDiff], last: int) -> Sequence[Depth]:
        out: list[Depth] = []
        for index, diff in enumerate(diffs):
            number = diff.sequence_number
            if number == last + 1:
                self._follows()
                out.append(diff)
            elif number <= last:
                if self._look_back(diff, last):
                    self._hold(diffs[index + 1 :])
                    return out
                continue
            elif (reason := self._break_at(number, last)) is not None:
                self._break(reason)
                # After a service that went back, it may have been under way, and numbers that jump cannot tell.
                self._hold(diffs[index:] if self._contiguous else ())
                return out
            else:
                self._former = -1
                self._repeats = 0
                out.append(LinkedDiff(diff.bids, diff.asks, number, last))
            last = self._last = number
            self._bring(diff)
        return out

    def _look_back(self, diff: OrderBookDiff, last: int) -> bool:
        """Look at a number that is not new: true if a snapshot is awaited from now on, else the change is dropped."""
        if diff.sequence_number > self._highest:
            suspicion = ("the sequence numbers started over", True) if self._is_new_beginning(diff, last) else None
        else:
            suspicion = self._suspicion(diff)
        if suspicion is None:
            return False
        reason, has_restarted = suspicion
        self._break(reason)
        self._begin_again(diff, has_restarted=has_restarted)
        return True

    def _break_at(self, number: int, last: int) -> str | None:
        """Why a number that is not the next breaks the chain; None if it does not."""
        if self._contiguous and not self._gives_in():
            return f"sequence number {number} came after {last}"
        if self._former >= 0 and number > self._former:
            return f"sequence number {number} came after the service went back to {last}"
        return None

    def _follows(self) -> None:
        """A change followed the one before: whatever was suspected is settled."""
        self._repeats = self._strikes = 0
        self._most_behind, self._most_repeats = _CATCHING_UP, _MANY_REPEATS
        self._fresh = False

    def _is_new_beginning(self, diff: OrderBookDiff, last: int) -> bool:
        """Whether a change that the snapshot should have means that the service has started over.

        Else the snapshot was ahead of the connection, which is catching up.
        """
        first = self._highest < 0
        self._bring(diff)
        self._repeats = 0
        self._behind += 1
        if self._behind <= self._most_behind:
            return first and last - diff.sequence_number > _FAR_BACK
        self._most_behind *= 2
        return True

    def _gives_in(self) -> bool:
        """Count a jump; say whether jumps are this service's way of counting."""
        if not self._fresh:
            self._strikes = 0
            return False
        self._fresh = False
        self._strikes += 1
        if self._sequence != "auto" or self._strikes < _STRIKES:
            return False
        _log.log(
            logging.INFO if self._has_warned else logging.WARNING,
            "%s: sequence numbers are not contiguous (%d fresh snapshots in a row were followed by a jump); "
            "increasing numbers are accepted over this connection, and a lost message cannot be noticed",
            self._name,
            self._strikes,
        )
        self._contiguous, self._has_warned = False, True
        return True

    def _break(self, reason: str) -> None:
        """Continuity is lost, the connection is not."""
        _log.info("%s: %s; asking for a new snapshot", self._name, reason)
        self._stats.gaps += 1
        self._restart()

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
        return self._reached - number > _FAR_BACK or self._doubted >= _MANY_DOUBTED

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
        self.pending_request = None
        rest = [diff for diff in held if diff.sequence_number > number]
        # `_chain` brings them again.
        for _ in rest[: len(self._brought)]:
            self._brought.pop()
        if rest:
            self._highest = self._brought[-1].sequence_number if self._brought else -1
        return (snapshot, *self._chain(rest))
