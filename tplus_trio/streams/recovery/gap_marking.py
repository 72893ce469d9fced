"""Feeds of events that REST does not list: a `Gap` marks where some may be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tplus_trio.models import Gap
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.interface import Recovery
from tplus_trio.streams.recovery.watermark import advance_watermark, gap_until

__all__ = ["GapMarking"]

T = TypeVar("T")


class GapMarking(Recovery[T | Gap], Generic[T]):
    """Delivers a `Gap` after each loss, before the items that follow."""

    def __init__(self, now_ns: Callable[[], int], stats: ConnectionCounts) -> None:
        super().__init__(now_ns, stats)
        #: The time up to which nothing is missing: that of the last item. The time at which it arrived would be too
        #: late, because a dead connection is noticed late, and what happened meanwhile may have been under way.
        self._watermark_ns = 0
        self._reason: str | None = None

    def lost(self, reason: str) -> None:
        super().lost(reason)
        if self._begun and self._reason is None:
            self._reason = reason

    def subscribed(self) -> Sequence[T | Gap]:
        super().subscribed()
        now = self._now_ns()
        gaps = () if self._reason is None else (self._announce_gap(gap_until(self._watermark_ns, now, self._reason)),)
        self._watermark_ns, self._reason = now, None
        return gaps

    def receive(self, items: Sequence[T | Gap]) -> Sequence[T | Gap]:
        if items:
            self._watermark_ns = advance_watermark(self._watermark_ns, items[-1], self._now_ns())
        return items
