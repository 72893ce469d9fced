"""Order-book depth: a snapshot, then every change after it, and a new snapshot after each loss."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self, TypeAlias

from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import Gap, LinkedDiff, OrderBook, OrderBookDiff
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.continuity import TRANSITIONS, Continuity, ContinuityEvent, Discontinuity
from tplus_trio.streams.recovery.early_snapshot import Proof, examine_early
from tplus_trio.streams.recovery.interface import FIRST_PAGE, Recovery
from tplus_trio.streams.recovery.repeats import RepeatDetector, Source
from tplus_trio.streams.recovery.sequencing import Sequencing, SequencingRule
from tplus_trio.streams.recovery.snapshot_judge import SnapshotJudge

__all__ = ["Depth"]

_log = logging.getLogger("tplus_trio.streams")

# Looking up a member of an enum takes longer than all that `receive` does besides.
_AWAITING_SNAPSHOT: Final = Continuity.AWAITING_SNAPSHOT
_CHAINED: Final = Continuity.CHAINED

#: What comes out of a depth stream; a `Gap` only with ``overflow="drop_oldest"``.
Depth: TypeAlias = OrderBook | OrderBookDiff | Gap


class DepthRecovery(Recovery[Depth]):
    """Chains changes to snapshots.

    Changes are held while a snapshot is awaited. A snapshot that was requested after the subscription was confirmed is
    used unless it is older than the first held change allows, or than what came before the loss (`SnapshotJudge`). One
    that was requested earlier is used once the held changes prove that nothing lies between (`examine_early`).

    Args:
        now_ns: Returns the time in nanoseconds, as for every `Recovery`.
        stats: Where gaps and resyncs are counted.
        sequence: What "the next sequence number" means.
        name: The stream's name, for the log.
    """

    # Eleven attributes: three are those of every recovery that asks REST.
    def __init__(
        self, now_ns: Callable[[], int], stats: ConnectionCounts, *, sequence: Sequencing, name: str = "depth"
    ) -> None:
        super().__init__(now_ns, stats)
        self.pending_request = FIRST_PAGE
        # Only contiguous numbers can prove an early snapshot good.
        self.eager: bool = sequence != "increasing"
        self._rule = SequencingRule(sequence, name)
        self._repeats = RepeatDetector()
        self._judge = SnapshotJudge()
        self._continuity = _AWAITING_SNAPSHOT
        #: The sequence number of the item that was delivered last; -1 while a snapshot is awaited.
        self._last = -1
        self._held: list[OrderBookDiff] = []
        #: A snapshot that was requested too early to be used without proof.
        self._early: OrderBook | None = None
        self._has_delivered = False
        #: Whether it hears what another recovery has delivered, whose links are not its own.
        self._is_copy = False

    @property
    def held(self) -> int:
        return len(self._held)

    def fork(self, stats: ConnectionCounts) -> Self:
        other = copy.copy(self)
        other._stats = stats
        other._rule, other._judge = copy.copy(self._rule), copy.copy(self._judge)
        other._repeats = self._repeats.fork()
        other._held = self._held.copy()
        other._is_copy = True
        return other

    def is_in_step(self, copy: Recovery[Depth]) -> bool:
        return isinstance(copy, DepthRecovery) and copy._last == self._last

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self._await_snapshot()
        self._repeats.forget()
        self._rule.reset()
        self._judge.begin_connection()

    def hole(self, reason: str) -> Sequence[Depth]:
        super().lost(reason)
        self._await_snapshot()
        return self.subscribed()

    def receive(self, items: Sequence[Depth]) -> Sequence[Depth]:
        diffs: Sequence[OrderBookDiff] = items  # type: ignore[assignment]  # a depth feed carries diffs only
        if self._is_copy:
            diffs = [_unlinked(diff) for diff in diffs]
        return self._receive(diffs, diffs)

    def receive_frames(self, items: Sequence[Depth], frames: Sequence[bytes | str]) -> Sequence[Depth]:
        return self._receive(items, frames)  # type: ignore[arg-type]  # as above

    def _receive(self, diffs: Sequence[OrderBookDiff], sources: Sequence[Source]) -> Sequence[Depth]:
        if self._continuity is _AWAITING_SNAPSHOT:
            self._hold(diffs, sources)
            return self._use_early()
        return self._chain(diffs, sources)

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[Depth]:  # noqa: ARG002 - there is one page
        snapshot: OrderBook = answer
        if early:
            self._early = snapshot
            return self._use_early()
        number = snapshot.sequence_number
        first_held, last_held = (
            (self._held[0].sequence_number, self._held[-1].sequence_number) if self._held else (None, None)
        )
        if self._rule.is_contiguous and first_held is not None and number + 1 < first_held:
            return ()  # changes are missing between the two: `pending_request` still stands
        return self._begin(snapshot) if self._judge.accepts(number, first_held, last_held) else ()

    def _enter(self, event: ContinuityEvent) -> None:
        self._continuity = TRANSITIONS[self._continuity, event]
        self.pending_request = FIRST_PAGE if self._continuity is _AWAITING_SNAPSHOT else None

    def _await_snapshot(self) -> None:
        """Start over with a new snapshot. The changes that this connection brought stay known."""
        self._judge.note_gap(max(self._repeats.highest, self._last))
        self._repeats.end_run()
        self._held.clear()
        self._early = None
        self._last = -1
        self._enter(ContinuityEvent.BREAK)
        self._start_generation()

    def _begin(self, snapshot: OrderBook) -> Sequence[Depth]:
        """Deliver a snapshot and the held changes after it."""
        self._stats.resyncs += self._has_delivered
        self._has_delivered = True
        number = self._last = snapshot.sequence_number
        self._judge.delivered(number)
        self._early = None
        self._enter(ContinuityEvent.SNAPSHOT)
        held, self._held = self._held, []
        rest = [diff for diff in held if diff.sequence_number > number]
        # `_chain` adds them again.
        return (snapshot, *self._chain(rest, self._repeats.take_back(len(rest))))

    def _use_early(self) -> Sequence[Depth]:
        """Deliver the early snapshot if the held changes prove it; forget it if they disprove it."""
        if self._early is None or not self._rule.is_contiguous:
            return ()
        match examine_early(self._early, self._held):
            case Proof.USABLE:
                self._start_generation()
                return self._begin(self._early)
            case Proof.USELESS:
                self._early = None
            case Proof.OPEN:
                pass
        return ()

    def _hold(self, diffs: Iterable[OrderBookDiff], sources: Iterable[Source]) -> None:
        """Keep changes for the snapshot to come, by rising number and without repeats."""
        repeats = self._repeats
        for diff, source in zip(diffs, sources, strict=True):
            if diff.sequence_number > repeats.highest:
                repeats.add(diff.sequence_number, source)
                self._held.append(diff)
            elif (discontinuity := repeats.examine(diff, source)) is not None:
                self._begin_epoch(diff, source, discontinuity)

    def _chain(self, diffs: Sequence[OrderBookDiff], sources: Sequence[Source]) -> Sequence[Depth]:
        """Deliver the changes that follow; drop repeats; start over at a jump."""
        last = number = self._last
        for diff in diffs:
            number += 1
            if diff.sequence_number != number:
                return self._chain_slowly(diffs, sources, last)
        # The usual case: every change is the next one.
        if diffs:
            self._last = number
            self._repeats.add_following(range(last + 1, number + 1), sources)
            if self._continuity is not _CHAINED:
                self._settle()
        return diffs

    def _chain_slowly(self, diffs: Sequence[OrderBookDiff], sources: Sequence[Source], last: int) -> Sequence[Depth]:
        out: list[Depth] = []
        for index, (diff, source) in enumerate(zip(diffs, sources, strict=True)):
            number = diff.sequence_number
            if number == last + 1:
                if self._continuity is not _CHAINED:
                    self._settle()
                out.append(diff)
            elif number <= last:
                if (discontinuity := self._examine_old(diff, source, last)) is None:
                    if self._continuity is _CHAINED:
                        self._enter(ContinuityEvent.OLD)
                    continue
                self._break(discontinuity.reason)
                self._begin_epoch(diff, source, discontinuity)
                self._hold(diffs[index + 1 :], sources[index + 1 :])
                return out
            elif (reason := self._examine_jump(number, last)) is not None:
                self._break(reason)
                # If the service went back, the change may be of the old book, and numbers that jump cannot tell.
                if self._rule.is_contiguous:
                    self._hold(diffs[index:], sources[index:])
                return out
            else:
                out.append(LinkedDiff(diff.bids, diff.asks, number, last))
            last = self._last = number
            self._repeats.add(number, source)
        return out

    def _settle(self) -> None:
        """A change followed the item before it: all doubts about the numbers end."""
        self._enter(ContinuityEvent.NEXT)
        self._repeats.settle()
        self._judge.settle()
        self._rule.fresh_jump_count = 0

    def _examine_old(self, diff: OrderBookDiff, source: Source, last: int) -> Discontinuity | None:
        """Return why a change whose number is not new breaks the chain; None if it can be dropped."""
        repeats = self._repeats
        if diff.sequence_number <= repeats.highest:
            return repeats.examine(diff, source)
        # The snapshot was ahead of the connection.
        is_first = repeats.highest < 0
        repeats.add(diff.sequence_number, source)
        if self._judge.is_catching_up(last - diff.sequence_number, is_first=is_first):
            return None
        return Discontinuity("the sequence numbers started over", has_restarted=True)

    def _examine_jump(self, number: int, last: int) -> str | None:
        """Return why a number above the next one breaks the chain; None if it does not."""
        rule, judge = self._rule, self._judge
        if rule.is_contiguous and not rule.accepts_jump(is_fresh=self._continuity is Continuity.FRESH):
            return f"sequence number {number} came after {last}"
        if judge.old_epoch_high >= 0 and judge.is_of_old_epoch(number):
            return f"sequence number {number} came after the service went back to {last}"
        return None

    def _break(self, reason: str) -> None:
        """Continuity is lost over a connection that goes on."""
        log_event(
            _log,
            logging.INFO,
            LogEvent.SNAPSHOT_REQUESTED,
            "%s: %s; asking for a new snapshot",
            self._rule.name,
            reason,
            path=self._rule.name,
            reason=reason,
        )
        self._stats.gaps += 1
        self.loss_reason = reason
        self._await_snapshot()

    def _begin_epoch(self, diff: OrderBookDiff, source: Source, discontinuity: Discontinuity) -> None:
        """Await a snapshot of the book that this change is about: earlier changes may be about another one."""
        self._early = None
        self._repeats.forget()
        self._repeats.add(diff.sequence_number, source)
        if discontinuity.has_restarted:
            self._judge.require(-1)
            self._held = [diff]
        else:
            # A snapshot is accepted only if it contains the change, so the change need not be held.
            self._judge.require(diff.sequence_number)
            self._held = []
        self._start_generation()


def _unlinked(diff: OrderBookDiff) -> OrderBookDiff:
    return OrderBookDiff(diff.bids, diff.asks, diff.sequence_number) if isinstance(diff, LinkedDiff) else diff
