"""How a feed is made whole again after something may have been missed: pure machines, driven by the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from tplus_trio.models import Gap, Timebar
from tplus_trio.streams.stats import StreamStats

__all__ = ["FIRST_PAGE", "GapMarking", "Recovery", "gap_until", "times_of", "advance_watermark"]

T = TypeVar("T")

#: The newest page of REST's history, and the only page of what has one.
FIRST_PAGE: Final = 0


def times_of(item: object, now_ns: int) -> tuple[int, int]:
    """From when to when an item tells, by the exchange's clock; now where it does not say."""
    match item:
        case Gap():
            return item.since_ns, item.until_ns
        case Timebar():
            return item.open_timestamp_ns, max(item.open_timestamp_ns, min(item.close_timestamp_ns, now_ns))
        case _:
            time = getattr(item, "timestamp_ns", None)
            return (time, time) if isinstance(time, int) else (now_ns, now_ns)


def advance_watermark(since_ns: int, item: object, now_ns: int) -> int:
    """Up to when nothing is missing once an item came, where that was ``since_ns`` before.

    Never later than now: the clock may have been ahead, and been set right.
    """
    return min(max(since_ns, times_of(item, now_ns)[0]), now_ns)


def gap_until(since_ns: int, now_ns: int, reason: str) -> Gap:
    """The gap up to now. A clock that was set back meanwhile does not make it end before it begins."""
    return Gap(min(since_ns, now_ns), max(since_ns, now_ns), reason)


class Recovery(Generic[T]):
    """A feed whose every message is whole in itself (a ticker, a list of positions): nothing has to be recovered.

    The supervisor tells a recovery what happens and delivers what it returns, in that order:

    - `lost`: from here on, items may have been missed;
    - `subscribed`: from here on, items arrive (after each `lost`, when the connection is there);
    - `receive`: these arrived;
    - `hole`: something was missed over a connection that goes on;
    - `answer`: REST answered for the page that `page` asked for;
    - `expire`: the time that `hold_timeout` allows has passed.

    Args:
        now_ns: Says what time it is, for the bounds of a `Gap`.
        stats: Where recoveries count.
    """

    #: The page that REST is to be asked for, None while nothing is wanted.
    pending_request: int | None = None
    #: Changes when an answer that is under way has become pointless.
    generation: int = 0
    #: Whether nothing is missing if REST cannot be asked.
    is_optional: bool = False
    #: Whether it helps to ask REST while the connection is still being made.
    eager: bool = False
    #: Whether a live item waits for the page: it is to be asked for before snapshots are.
    urgent: bool = False
    #: Whether the recovery gives up by itself after a number of answers that are of no use.
    counts_reads: bool = False
    #: Seconds that the next request is to be put off by, at most; at least three quarters of them.
    retry_after: float = 0.0
    #: Seconds, from when the present `generation` was given, after which `expire` is to be called; None for never.
    hold_timeout: float | None = None

    def __init__(self, now_ns: Callable[[], int], stats: StreamStats) -> None:
        self._now_ns = now_ns
        self._stats = stats
        self._begun = False
        self._is_lost = False

    def _start_generation(self) -> None:
        """Whatever REST is being asked now, its answer has become pointless."""
        self.generation += 1

    @property
    def synced(self) -> bool:
        """Whether what was delivered so far is all there is."""
        return self.pending_request is None

    @property
    def held(self) -> int:
        """How many items are held back until REST answers."""
        return 0

    def do_without(self) -> None:
        """REST could not be asked for what is optional."""

    def lost(self, reason: str) -> None:  # noqa: ARG002 - for those that tell
        """Something may have been missed, for this reason."""
        # However often it takes to come back, it is one loss.
        if self._begun and not self._is_lost:
            self._is_lost = True
            self._stats.gaps += 1

    def subscribed(self) -> Sequence[T]:
        """Items arrive from now on."""
        self._begun, self._is_lost = True, False
        return ()

    def hole(self, reason: str) -> Sequence[T]:
        """Something was missed over a connection that goes on; return items to deliver now."""
        self.lost(reason)
        return self.subscribed()

    def expire(self) -> Sequence[T]:
        """Hold items back no longer; return those to deliver now."""
        return ()

    def receive(self, items: Sequence[T]) -> Sequence[T]:
        """Take items that arrived; return those to deliver now."""
        return items

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[T]:
        """Take REST's answer; return items to deliver now.

        Args:
            page: The page that was asked for.
            answer: The page.
            early: Whether REST was asked before the subscription stood.
        """
        raise NotImplementedError


class GapMarking(Recovery[T | Gap], Generic[T]):
    """A feed of events that nothing can bring back: a `Gap` marks where some may be missing."""

    def __init__(self, now_ns: Callable[[], int], stats: StreamStats) -> None:
        super().__init__(now_ns, stats)
        #: Up to when nothing is missing. A dead connection is noticed late, so that is when the last item happened; not
        #: when it came, since what happened in between may have been on its way still.
        self._watermark_ns = 0
        self._reason: str | None = None

    def lost(self, reason: str) -> None:
        super().lost(reason)
        if self._begun and self._reason is None:
            self._reason = reason

    def subscribed(self) -> Sequence[T | Gap]:
        super().subscribed()
        now = self._now_ns()
        gaps = () if self._reason is None else (gap_until(self._watermark_ns, now, self._reason),)
        self._watermark_ns, self._reason = now, None
        return gaps

    def receive(self, items: Sequence[T | Gap]) -> Sequence[T | Gap]:
        if items:
            self._watermark_ns = advance_watermark(self._watermark_ns, items[-1], self._now_ns())
        return items
