"""Feeds whose past REST lists, trades and candles: what was missed is requested and delivered first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Generic, Required, TypedDict, TypeVar

from tplus_trio.models import Gap
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.backfill_phases import TRANSITIONS, BackfillEvent, BackfillPhase
from tplus_trio.streams.recovery.history_reader import HistoryReader, ReadState
from tplus_trio.streams.recovery.history_rows import newest_first, rows_of
from tplus_trio.streams.recovery.interface import FIRST_PAGE, Recovery
from tplus_trio.streams.recovery.row_kind import RowKind
from tplus_trio.streams.recovery.unreadable_rows import UnreadableRows
from tplus_trio.streams.recovery.watermark import advance_watermark, gap_until, times_of

__all__ = ["CONFIRM_TIMEOUT", "Backfill", "BackfillOptions"]

T = TypeVar("T")

#: Seconds that the first live item after an outage is held for the read that shows what lies before it.
CONFIRM_TIMEOUT: Final = 1.0


class BackfillOptions(TypedDict, total=False):
    """The bounds of a backfill."""

    #: The most pages of REST's history that are read for one gap.
    max_pages: Required[int]
    #: The most seconds that the first live item after an outage is held.
    confirm_timeout: float


class Backfill(Recovery[T | Gap], Generic[T]):
    """Reads REST's history, newest page first, until the gap is proved to be closed. Live items are held meanwhile.

    A read closes the gap if it meets what was delivered before, and contains the first item that the feed brought
    after: REST may be a cache or a replica that is behind. If nothing was delivered yet, it has to reach back to the
    time of the subscription or to the beginning of history. Several pages have to join (`PageJoiner`), since rows may
    move between two requests.

    A read that closes nothing is repeated, a bounded number of times. Then a `Gap` is delivered, and the held items. If
    the gap is larger than ``max_pages`` pages, a `Gap` is delivered at once, and none of the rows.

    If the feed has brought nothing yet, REST's rows are delivered and the stream is live. The next item of the feed is
    then held, at most ``confirm_timeout`` seconds, for a read that shows what lies before it.

    If the first item of a new connection was delivered already, the feed has closed the gap itself. Its repeats need
    not include every item that changed meanwhile, so REST is read once more, while items are delivered.

    `BackfillPhase` and its table of transitions say what happens when. A subclass says which items were delivered, its
    `RowKind` what REST's rows are.

    Args:
        now_ns: Returns the time in nanoseconds, for the bounds of a `Gap`.
        stats: Where gaps and resyncs are counted.
        max_pages: See `BackfillOptions`.
        confirm_timeout: See `BackfillOptions`.
    """

    counts_reads = True
    #: What REST's rows are.
    kind: ClassVar[RowKind]

    def __init__(
        self,
        now_ns: Callable[[], int],
        stats: ConnectionCounts,
        *,
        max_pages: int,
        confirm_timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        super().__init__(now_ns, stats)
        # Ten attributes here, and in `_enter` five more: those are the interface that the supervisor reads.
        self._confirm_timeout = confirm_timeout
        self._phase = BackfillPhase.LIVE
        self._reader = HistoryReader(self.kind, max_pages=max_pages)
        self._unreadable = UnreadableRows()
        self._held: list[T] = []
        #: How many of the held items came before the last loss: those prove nothing about it.
        self._held_before_loss = 0
        #: The items that were delivered while `BackfillPhase.CHECKING`.
        self._passed: list[T] = []
        #: Whether the next item is the first of its connection.
        self._is_first = False
        #: The time up to which nothing is missing, as in `GapMarking`.
        self._watermark_ns = 0
        self._reason = ""

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def synced(self) -> bool:
        return self._phase is not BackfillPhase.RECOVERING

    def lost(self, reason: str) -> None:
        self._lose(reason)
        self._held.clear()
        self._held_before_loss = self._reader.useless_reads = 0
        self._is_first = True

    def hole(self, reason: str) -> Sequence[T | Gap]:
        if self._phase is not BackfillPhase.RECOVERING:
            self._lose(reason)
        # Otherwise the answer under way is of use: it is compared with what comes after this loss.
        self._held_before_loss = len(self._held)
        self._is_first = False
        return self.subscribed()

    def _lose(self, reason: str) -> None:
        super().lost(reason)
        if not self._begun:
            return
        if self._phase is not BackfillPhase.RECOVERING:
            self._reason = reason
            self._reader.useless_reads = 0
        self._enter(BackfillEvent.LOSS)

    def _enter(self, event: BackfillEvent) -> None:
        """Change the phase. An answer under way becomes useless."""
        phase = self._phase = TRANSITIONS[self._phase, event]
        self._passed = []
        self.pending_request = FIRST_PAGE if phase.asks_rest else None
        self.is_optional: bool = phase is BackfillPhase.CHECKING
        self.urgent: bool = phase is BackfillPhase.CONFIRMING
        self.hold_timeout: float | None = self._confirm_timeout if self.urgent else None
        self.retry_after: float = 0.0
        self._reader.reset()
        self._start_generation()

    def subscribed(self) -> Sequence[T | Gap]:
        if not self._begun:
            self._watermark_ns = self._now_ns()
        return super().subscribed()

    def receive(self, items: Sequence[T | Gap]) -> Sequence[T | Gap]:
        fresh: Sequence[T] = items  # type: ignore[assignment]  # a gap is never received
        if self._phase is BackfillPhase.CHECKING:
            self._passed.extend(fresh)
        elif self._phase is not BackfillPhase.LIVE:
            if not fresh:
                return ()
            if not self._is_proving(fresh[0]):
                if self._phase is BackfillPhase.UNCONFIRMED:
                    self._reader.useless_reads = 0
                    self._enter(BackfillEvent.UNPROVED_ITEM)
                self._held.extend(fresh)
                return ()
            self._enter(BackfillEvent.PROVING_ITEM)
        news = self._accept_live(fresh)
        self._advance(news)
        return news

    def _is_proving(self, item: T) -> bool:
        """Whether a live item shows by itself that nothing is missing before it."""
        is_first, self._is_first = self._is_first, False
        if self._phase is BackfillPhase.UNCONFIRMED:
            return self._is_covered(item)
        return is_first and self._was_delivered(item)

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[T | Gap]:  # noqa: ARG002 - never early
        rows = newest_first(rows_of(self.kind.rows(answer)), self.kind.sort_key)
        if self._phase is BackfillPhase.CHECKING:
            known = [row for row in rows if row is not None and self._is_known(row)]
            changed = self._merge(known, self._passed)
            self._enter(BackfillEvent.CHECKED)
            return changed
        kept, met = self._select(rows) if self._has_delivered() else self._select_since(rows)
        reader = self._reader
        state = reader.take(page, rows, kept, met=met)
        if state is ReadState.TOO_LONG:
            return self._give_up(())
        if state is ReadState.UNFINISHED:
            self.pending_request, self.retry_after = reader.next_page, 0.0
            return ()
        found = reader.rows() if state is ReadState.MET else []
        # The proof is in the first items after the last loss or, if none came, in all that are held.
        if state is ReadState.MET and self._reaches(found, self._held[self._held_before_loss :] or self._held):
            return self._close(found)
        if self._phase is BackfillPhase.RECOVERING and reader.is_exhausted:
            return self._give_up(found)
        reader.read_again(found)
        self.pending_request, self.retry_after = FIRST_PAGE, reader.retry_after
        return ()

    def _select_since(self, rows: Sequence[Any]) -> tuple[Sequence[Any], bool]:
        """As `_select`, before anything was delivered.

        Returns:
            The rows since the subscription, and whether the page reaches behind it or to the beginning of history.
        """
        since_ns = self._watermark_ns
        after = next(
            (n for n, row in enumerate(rows) if row is not None and self.kind.ends_ns(row) < since_ns), len(rows)
        )
        # If the clock was set back since, its times say nothing about what came after the subscription.
        return rows[:after], (not rows or after < len(rows)) and since_ns <= self._now_ns()

    def _close(self, rows: Sequence[Any]) -> Sequence[T | Gap]:
        """The gap is closed: deliver what was missed, and the held items."""
        self._stats.resyncs += self._phase is BackfillPhase.RECOVERING
        held, self._held = self._held, []
        is_confirmed = len(held) > self._held_before_loss
        self._held_before_loss = 0
        before = self._merge(rows, held)
        news = (*before, *self._accept_live(self._drop_superseded(held, before)))
        self._enter(BackfillEvent.CLOSED if is_confirmed else BackfillEvent.CLOSED_WITHOUT_ITEM)
        self._advance(news)
        return news

    def _give_up(self, rows: Sequence[Any]) -> Sequence[T | Gap]:
        """The gap stays: deliver these rows, which lie before it, a `Gap`, and the held items."""
        self._stats.resyncs += self._phase is BackfillPhase.RECOVERING
        held, self._held = self._held, []
        self._held_before_loss = 0
        before = self._merge(rows, ())
        self._advance(before)
        now = self._now_ns()
        gap = self._announce_gap(gap_until(self._watermark_ns, now, self._reason))
        self._watermark_ns = now
        self._enter(BackfillEvent.GIVEN_UP)
        self._note_gap(gap, held)
        return (*before, gap, *self._accept_live(self._drop_superseded(held, before)))

    def expire(self) -> Sequence[T | Gap]:
        return self._give_up(self._reader.fallback) if self._phase is BackfillPhase.CONFIRMING else ()

    def do_without(self) -> None:
        self._enter(BackfillEvent.CHECKED)

    def _advance(self, news: Sequence[T | Gap]) -> None:
        """Nothing is missing before the last of these items."""
        if news:
            self._watermark_ns = advance_watermark(self._watermark_ns, news[-1], self._now_ns())

    def _unreadable_gap(self, older: Any, newer: Any, count: int) -> Sequence[Gap]:
        """A gap for undecodable rows between two others, unless one was delivered for them before.

        Args:
            older: The decoded row below them; None if they are the oldest.
            newer: The decoded row or held item above them; None if they are the newest.
            count: How many they are.
        """
        if not self._unreadable.are_new("" if older is None else self.kind.key(older), count):
            return ()
        now = self._now_ns()
        since = self._watermark_ns if older is None else times_of(older, now)[0]
        until = now if newer is None else times_of(newer, now)[0]
        gap = Gap(min(since, until), max(since, until), "a row of REST's answer could not be decoded")
        return (self._announce_gap(gap),)

    def _drop_superseded(self, held: Sequence[T], before: Sequence[T | Gap]) -> Sequence[T]:  # noqa: ARG002 - overridden
        """Of the held items, those that REST's rows have not superseded. By default, all."""
        return held

    def _note_gap(self, gap: Gap, held: Sequence[T]) -> None:
        """A gap is delivered before the held items. By default, nothing is noted."""

    @abstractmethod
    def _has_delivered(self) -> bool:
        """Whether anything was delivered that REST's rows could meet."""

    @abstractmethod
    def _select(self, rows: Sequence[Any]) -> tuple[Sequence[Any], bool]:
        """The rows of a page that matter, newest first, and whether the page meets what was delivered before."""

    @abstractmethod
    def _reaches(self, rows: Sequence[Any], held: Sequence[T]) -> bool:
        """Whether REST's rows are as recent as the first of the held items; True if none is held."""

    @abstractmethod
    def _is_known(self, row: Any) -> bool:
        """Whether the item of a row was delivered, in any state."""

    @abstractmethod
    def _was_delivered(self, item: T) -> bool:
        """Whether this item was delivered, in this state."""

    @abstractmethod
    def _is_covered(self, item: T) -> bool:
        """Whether REST's rows reached a live item, so that nothing can lie between."""

    @abstractmethod
    def _accept_live(self, items: Sequence[T]) -> Sequence[T]:
        """Remember items that arrive in order, and return those to deliver."""

    @abstractmethod
    def _merge(self, rows: Sequence[Any], held: Sequence[T]) -> Sequence[T | Gap]:
        """Return what REST's rows add before the held items, oldest first, and remember it as delivered."""
