"""What a supervisor tells a recovery, and what it reads from it. Every recovery is pure: it has no I/O and no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Self, TypeVar

from tplus_trio.models import Gap
from tplus_trio.streams.counts import ConnectionCounts

__all__ = ["FIRST_PAGE", "Recovery"]

T = TypeVar("T")

#: The newest page of REST's history, and the only page of a listing or snapshot that has one.
FIRST_PAGE: Final = 0


class Recovery(Generic[T]):
    """A feed whose every message is complete (a ticker, a list of positions): nothing has to be recovered.

    Other feeds override what they need. The supervisor calls these methods, and delivers what they return in this
    order:

    - `lost`: from now on, items may be missed;
    - `subscribed`: from now on, items arrive (after each `lost`, once the connection stands);
    - `receive`: items arrived;
    - `hole`: items were missed over a connection that goes on;
    - `answer`: REST answered for `pending_request`;
    - `expire`: the time of `hold_timeout` is over.

    Args:
        now_ns: Returns the time in nanoseconds, for the bounds of a `Gap`.
        stats: Where gaps and resyncs are counted.
    """

    #: The page to request from REST; None while nothing is requested.
    pending_request: int | None = None
    #: Changes when the answer to a request under way becomes useless.
    generation: int = 0
    #: Whether nothing is missing if REST cannot be asked.
    is_optional: bool = False
    #: Whether it helps to ask REST while the connection is still being made.
    eager: bool = False
    #: Whether a live item waits for the answer. Its request goes before those for snapshots.
    urgent: bool = False
    #: Whether the recovery gives up by itself after a number of useless answers.
    counts_reads: bool = False
    #: The most seconds by which the next request is delayed; the delay is at least three quarters of them.
    retry_after: float = 0.0
    #: Seconds after the present `generation` began at which `expire` has to be called; None for never.
    hold_timeout: float | None = None
    #: Called with each `Gap` that is delivered; None calls nothing.
    on_gap: Callable[[Gap], object] | None = None
    #: Why items were last missed, for a person to read.
    loss_reason: str = ""

    def __init__(self, now_ns: Callable[[], int], stats: ConnectionCounts) -> None:
        self._now_ns = now_ns
        self._stats = stats
        self._begun = False
        self._is_lost = False

    def _start_generation(self) -> None:
        """Make the answer to a request under way useless."""
        self.generation += 1

    @property
    def synced(self) -> bool:
        """Whether what was delivered so far is complete."""
        return self.pending_request is None

    @property
    def held(self) -> int:
        """How many items are held until REST answers."""
        return 0

    def do_without(self) -> None:
        """REST could not be asked, and `is_optional` is true."""

    def fork(self, stats: ConnectionCounts) -> Self | None:  # noqa: ARG002 - for subclasses
        """Return a copy that knows what this one knows, and goes its own way from here.

        Args:
            stats: Where the copy counts.

        Returns:
            None if what a resync delivers is of use to everybody who reads the feed: then nobody resyncs alone.
        """
        return None

    def is_in_step(self, copy: Recovery[T]) -> bool:  # noqa: ARG002 - for subclasses
        """Return whether a copy has delivered as much as this one."""
        return True

    def _announce_gap(self, gap: Gap) -> Gap:
        """Announce a gap that is about to be delivered, and return it."""
        if self.on_gap is not None:
            self.on_gap(gap)
        return gap

    def lost(self, reason: str) -> None:
        """Items may be missed from now on, for this reason."""
        self.loss_reason = reason
        # However often it takes to connect again, it is one loss.
        if self._begun and not self._is_lost:
            self._is_lost = True
            self._stats.gaps += 1

    def subscribed(self) -> Sequence[T]:
        """Items arrive from now on; return items to deliver now."""
        self._begun, self._is_lost = True, False
        return ()

    def hole(self, reason: str) -> Sequence[T]:
        """Items were missed over a connection that goes on; return items to deliver now."""
        self.lost(reason)
        return self.subscribed()

    def expire(self) -> Sequence[T]:
        """Hold items no longer; return those to deliver now."""
        return ()

    def receive(self, items: Sequence[T]) -> Sequence[T]:
        """Take items that arrived; return those to deliver now."""
        return items

    def receive_frames(self, items: Sequence[T], frames: Sequence[bytes | str]) -> Sequence[T]:  # noqa: ARG002 - for subclasses
        """Take items of which each came in a message of its own, as `receive` does.

        A recovery that remembers what came may keep the messages: they take less memory than the items.
        """
        return self.receive(items)

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[T]:  # noqa: ARG002 - for subclasses
        """Take REST's answer; return items to deliver now.

        Args:
            page: The page that was requested.
            answer: The page.
            early: Whether it was requested before the subscription was confirmed.

        Raises:
            RuntimeError: this recovery requests no pages.
        """
        msg = f"{type(self).__name__} requested no page"
        raise RuntimeError(msg)
