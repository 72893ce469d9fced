"""Feeds whose past REST can tell, trades and candles: what was missed is asked for and delivered first."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from tplus_trio.models import Gap
from tplus_trio.streams.recovery.interface import Recovery, gap_until, times_of, advance_watermark
from tplus_trio.streams.recovery.history_rows import newest_first, of_two_readings, rows_of
from tplus_trio.streams.recovery.page_joiner import Seams
from tplus_trio.streams.stats import StreamStats

__all__ = ["CONFIRM_TIMEOUT", "Backfill"]

T = TypeVar("T")

#: Seconds that the first live item after an outage is held for the read that shows what lies before it.
CONFIRM_TIMEOUT: Final = 1.0
#: Seconds to wait before REST is read again whose history did not reach as far as the feed. The first repeats are soon,
#: since an item that came while REST was asked needs just one more read; together they outlast a cache of two seconds.
_RETRY_AFTER: Final = (0.0, 0.25, 0.5, 0.75, 1.5)


class Phase(enum.Enum):
    """Where a backfill stands."""

    #: Nothing is missing; items are delivered as they come.
    LIVE = enum.auto()
    #: Items may be missing before those that are held; REST is asked.
    RECOVERING = enum.auto()
    #: REST has answered, and nothing has come over the feed since: REST may have been behind.
    UNCONFIRMED = enum.auto()
    #: The first live item is held, with what followed it, for one more read.
    CONFIRMING = enum.auto()
    #: The feed has closed the hole itself. REST is asked once for news of items that were delivered before.
    CHECKING = enum.auto()


class Backfill(Recovery[T | Gap], Generic[T]):
    """Asks REST, newest page first, until the hole is proved to be closed; live items are held meanwhile.

    An answer closes the hole if it meets what was delivered before the hole, and has the first item that the feed
    brought after it: REST may be a cache or a replica that is behind. Where nothing was delivered yet, what it meets is
    the time of the subscription, or the beginning of history.

    Where it takes several pages, they have to join (`Seams`), since rows may move between two requests.

    An answer that does not is asked for again, a bounded number of times. Then a `Gap` is delivered, and what is held.
    A hole that is not met within ``max_pages`` pages becomes a `Gap` at once, and nothing of it is delivered.

    Where the feed has brought nothing yet, what REST has is delivered, and the feed is live. The first item that comes
    then is held, at most ``confirm_timeout`` seconds, for a read that shows what lies before it.

    A feed that begins a new connection with an item that was delivered has closed the hole itself. What it repeats need
    not reach back to every item that changed meanwhile, so REST is read once more, while items are delivered.
    """

    counts_reads = True
    #: Whether rows are nearly always neighbours in the sense of `_adjoins`.
    numbered: ClassVar[bool] = False

    def __init__(
        self,
        now_ns: Callable[[], int],
        stats: StreamStats,
        *,
        max_pages: int,
        confirm_timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        super().__init__(now_ns, stats)
        self._max_pages = max_pages
        self._confirm_timeout = confirm_timeout
        self._phase = Phase.LIVE
        self._held: list[T] = []
        #: What came over the feed while REST is asked for news.
        self._passed: list[T] = []
        #: How many of them came before the last hole: those prove nothing about it.
        self._before_hole = 0
        #: Whether the next item is the first of its connection.
        self._is_first = False
        #: What REST brought in the present read, newest first; None for a row that could not be decoded.
        self._rows: list[Any] = []
        #: The same by page.
        self._pages: dict[int, list[Any]] = {}
        #: Whether its pages leave nothing out, and reach what was delivered.
        self._seams: Seams = Seams(self._name, self._adjoins, numbered=self.numbered)
        #: The rows of the last read that met what was delivered, and did not reach the feed.
        self._short: list[Any] = []
        #: How many reads did not close the hole.
        self._reads = 0
        #: Up to when nothing is missing: as for `GapMarking`.
        self._watermark_ns = 0
        self._reason = ""

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def synced(self) -> bool:
        return self._phase is not Phase.RECOVERING

    def lost(self, reason: str) -> None:
        self._lose(reason)
        self._held.clear()
        self._before_hole = self._reads = 0
        self._is_first = True

    def hole(self, reason: str) -> Sequence[T | Gap]:
        if self._phase is not Phase.RECOVERING:
            self._lose(reason)
        # Else an answer that is under way helps as well: it is checked against what comes after this hole.
        self._before_hole = len(self._held)
        self._is_first = False
        return self.subscribed()

    def _lose(self, reason: str) -> None:
        super().lost(reason)
        if not self._begun:
            return
        if self._phase is not Phase.RECOVERING:
            self._reason = reason
            self._reads = 0
        self._enter(Phase.RECOVERING)

    def _enter(self, phase: Phase) -> None:
        """Change the phase; whatever REST is being asked has become pointless."""
        self._phase = phase
        self._rows, self._short, self._passed = [], [], []
        self.pending_request = None if phase in {Phase.LIVE, Phase.UNCONFIRMED} else 0
        self.is_optional: bool = phase is Phase.CHECKING
        self.urgent: bool = phase is Phase.CONFIRMING
        self.hold_timeout: float | None = self._confirm_timeout if self.urgent else None
        self.retry_after: float = 0.0
        self._start_generation()

    def _start_generation(self) -> None:
        super()._start_generation()
        self._begin_read()

    def _begin_read(self) -> None:
        """REST is read from its newest page on."""
        self._rows, self._pages = [], {}
        self._seams = Seams(self._name, self._adjoins, numbered=self.numbered)

    def subscribed(self) -> Sequence[T | Gap]:
        if not self._begun:
            self._watermark_ns = self._now_ns()
        return super().subscribed()

    def receive(self, items: Sequence[T | Gap]) -> Sequence[T | Gap]:
        fresh: Sequence[T] = items  # type: ignore[assignment]  # a gap is never received
        if self._phase is Phase.CHECKING:
            self._passed.extend(fresh)
        elif self._phase is not Phase.LIVE:
            if not fresh:
                return ()
            if not self._is_bridge(fresh[0]):
                if self._phase is Phase.UNCONFIRMED:
                    self._reads = 0
                    self._enter(Phase.CONFIRMING)
                self._held.extend(fresh)
                return ()
            self._enter(Phase.CHECKING if self._phase is Phase.RECOVERING else Phase.LIVE)
        news = self._live(fresh)
        self._told(news)
        return news

    def _is_bridge(self, item: T) -> bool:
        """Whether a live item shows by itself that nothing is missing before it."""
        if self._phase is Phase.UNCONFIRMED:
            return self._is_covered(item)
        first, self._is_first = self._is_first, False
        return first and self._has_told(item)

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[T | Gap]:  # noqa: ARG002 - never early
        rows = newest_first(rows_of(self._items(answer)), self._order)
        if self._phase is Phase.CHECKING:
            known = [row for row in rows if row is not None and self._is_known(row)]
            changed = self._join(known, self._passed)
            self._enter(Phase.LIVE)
            return changed
        # What proves the end: the first items after the last hole, or, where none came, all that is held.
        waits = self._held[self._before_hole :] or self._held
        self._rows = []
        meets = self._take(rows) if self._has_delivered() else self._take_since(rows)
        self._pages[page] = of_two_readings(self._pages.get(page, ()), self._rows, self._name)
        seams = self._seams
        if not meets and rows and page >= seams.page and page + 1 >= self._max_pages:
            return self._give_up(())  # larger than the bound
        again = seams.take(page, rows, met=meets)
        if again is None and not seams.is_torn and not seams.met and seams.goes_on:
            again = seams.page + 1
        if again is not None:
            self.pending_request, self.retry_after = again, 0.0
            return ()
        self._rows = newest_first([row for n in sorted(self._pages) for row in self._pages[n]], self._order)
        met = seams.met and not seams.is_torn
        if met and self._reaches(self._rows, waits):
            return self._close()
        self._reads += 1
        if self._phase is Phase.RECOVERING and self._reads > len(_RETRY_AFTER):
            return self._give_up(self._rows if met else ())
        self._short = self._rows if met else []
        self._begin_read()
        self.pending_request = 0
        self.retry_after = _RETRY_AFTER[min(self._reads, len(_RETRY_AFTER)) - 1]
        return ()

    def _take_since(self, rows: Sequence[Any]) -> bool:
        """Add the rows that came after the subscription; say whether there are older ones, or none at all."""
        since_ns = self._watermark_ns
        after = next((n for n, row in enumerate(rows) if row is not None and self._ends_ns(row) < since_ns), len(rows))
        self._rows += rows[:after]
        # A clock that was set back since says nothing of what came after the subscription.
        return (not rows or after < len(rows)) and since_ns <= self._now_ns()

    def _close(self) -> Sequence[T | Gap]:
        """The hole is closed: deliver what was missed, and what is held."""
        self._stats.resyncs += self._phase is Phase.RECOVERING
        rows, held = self._rows, self._held
        confirmed = len(held) > self._before_hole
        self._held, self._before_hole = [], 0
        told = self._join(rows, held)
        news = (*told, *self._live(self._still_news(held, told)))
        self._enter(Phase.LIVE if confirmed else Phase.UNCONFIRMED)
        self._told(news)
        return news

    def _give_up(self, rows: Sequence[Any]) -> Sequence[T | Gap]:
        """The hole stays: deliver what lies before it, a `Gap`, and what is held."""
        self._stats.resyncs += self._phase is Phase.RECOVERING
        held, self._held, self._before_hole = self._held, [], 0
        before = self._join(rows, ())
        self._told(before)
        now = self._now_ns()
        gap = gap_until(self._watermark_ns, now, self._reason)
        self._watermark_ns = now
        self._enter(Phase.LIVE)
        self._note_gap(gap, held)
        return (*before, gap, *self._live(self._still_news(held, before)))

    def expire(self) -> Sequence[T | Gap]:
        return self._give_up(self._short) if self._phase is Phase.CONFIRMING else ()

    def do_without(self) -> None:
        self._enter(Phase.LIVE)

    def _told(self, news: Sequence[T | Gap]) -> None:
        """Nothing before the last item is missing."""
        if news:
            self._watermark_ns = advance_watermark(self._watermark_ns, news[-1], self._now_ns())

    def _unreadable(self, older: Any, newer: Any) -> Gap:
        """The gap that stands for a row which could not be decoded."""
        now = self._now_ns()
        since = self._watermark_ns if older is None else times_of(older, now)[0]
        until = now if newer is None else times_of(newer, now)[0]
        return Gap(min(since, until), max(since, until), "a row of REST's answer could not be decoded")

    def _still_news(self, held: Sequence[T], told: Sequence[T | Gap]) -> Sequence[T]:  # noqa: ARG002 - for overrides
        """Of what is held, what REST did not tell something later of."""
        return held

    def _note_gap(self, gap: Gap, held: Sequence[T]) -> None:
        """A gap was delivered, before these."""

    @abstractmethod
    def _has_delivered(self) -> bool:
        """Whether there is anything that REST's answer could be joined on to."""

    @abstractmethod
    def _items(self, answer: Any) -> Sequence[Any]:
        """What is on a page."""

    @abstractmethod
    def _order(self, row: Any) -> tuple[int, int]:
        """What rows are ordered by: a time, and a number for those of one time."""

    @abstractmethod
    def _ends_ns(self, row: Any) -> int:
        """Up to when a row tells, by the clock of the service."""

    @abstractmethod
    def _name(self, row: Any) -> str:
        """What a row is known by: text, whose hash a service cannot choose."""

    @abstractmethod
    def _adjoins(self, row: Any, older: Any) -> bool:
        """Whether nothing can lie between a row and an older one."""

    @abstractmethod
    def _take(self, rows: Sequence[Any]) -> bool:
        """Add what matters of a page, newest first, to ``_rows``; say whether it met what was delivered before."""

    @abstractmethod
    def _reaches(self, rows: Sequence[Any], held: Sequence[T]) -> bool:
        """Whether what REST told is from as late as the first of those that are held; true where none is."""

    @abstractmethod
    def _is_known(self, row: Any) -> bool:
        """Whether what a row tells of was delivered, in whatever state."""

    @abstractmethod
    def _has_told(self, item: T) -> bool:
        """Whether this very item was delivered."""

    @abstractmethod
    def _is_covered(self, item: T) -> bool:
        """Whether what REST told reaches up to a live item, so that nothing can lie between."""

    @abstractmethod
    def _live(self, items: Sequence[T]) -> Sequence[T]:
        """Remember items that arrive in order, and return those to deliver."""

    @abstractmethod
    def _join(self, rows: Sequence[Any], held: Sequence[T]) -> Sequence[T | Gap]:
        """What is to be delivered of REST's rows, oldest first, before what arrived meanwhile."""
