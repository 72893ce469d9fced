"""Reads REST's history from its newest page on, until it meets what was delivered, and again if it proves nothing."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final

from tplus_trio.streams.recovery.history_rows import newest_first, of_two_readings
from tplus_trio.streams.recovery.interface import FIRST_PAGE
from tplus_trio.streams.recovery.page_joiner import PageJoiner
from tplus_trio.streams.recovery.row_kind import RowKind

__all__ = ["HistoryReader", "ReadState"]

#: Seconds to wait before the history is read again. The first repeats are soon, because an item that came while REST
#: was asked needs one more read only; together they outlast a cache of two seconds.
_RETRY_AFTER: Final = (0.0, 0.25, 0.5, 0.75, 1.5)


class ReadState(enum.Enum):
    """What the pages of a read amount to."""

    #: Another page has to be requested: `HistoryReader.next_page`.
    UNFINISHED = enum.auto()
    #: The pages meet what was delivered before, and leave nothing out.
    MET = enum.auto()
    #: The history ends before that, or its pages do not join.
    NOT_MET = enum.auto()
    #: More pages would be needed than the bound allows.
    TOO_LONG = enum.auto()


class HistoryReader:
    """Collects the pages of one read, and counts the reads that did not close a gap.

    Args:
        kind: What the rows are.
        max_pages: The most pages of a read.
    """

    def __init__(self, kind: RowKind, *, max_pages: int) -> None:
        self._kind = kind
        self._max_pages = max_pages
        #: The page to request while the read is unfinished.
        self.next_page: int = FIRST_PAGE
        #: The reads in a row that did not close the gap.
        self.useless_reads: int = 0
        #: What the last useless read brought, newest first, if it met what was delivered; None for an undecodable row.
        self.fallback: Sequence[Any] = ()
        self._pages: dict[int, list[Any]] = {}
        self._joiner = PageJoiner(kind)

    def reset(self) -> None:
        """Begin a read, and forget what earlier ones brought. `useless_reads` stays."""
        self.fallback = ()
        self._begin()

    def _begin(self) -> None:
        self.next_page = FIRST_PAGE
        self._pages = {}
        self._joiner = PageJoiner(self._kind)

    def take(self, page: int, rows: Sequence[Any], kept: Sequence[Any], *, met: bool) -> ReadState:
        """Take the answer for a page.

        Args:
            page: The page's number.
            rows: Its rows, newest first; None for an undecodable one.
            kept: Those of them that matter.
            met: Whether the page reaches what was delivered before.
        """
        joiner = self._joiner
        self._pages[page] = of_two_readings(self._pages.get(page, ()), kept, self._kind.key)
        if not met and rows and page >= joiner.page and page + 1 >= self._max_pages:
            return ReadState.TOO_LONG
        following = joiner.take(page, rows, met=met)
        if following is None and not joiner.is_torn and not joiner.met and joiner.goes_on:
            following = joiner.page + 1
        if following is not None:
            self.next_page = following
            return ReadState.UNFINISHED
        return ReadState.MET if joiner.met else ReadState.NOT_MET

    def rows(self) -> list[Any]:
        """The rows of all pages of this read, newest first."""
        return newest_first([row for n in sorted(self._pages) for row in self._pages[n]], self._kind.sort_key)

    def read_again(self, fallback: Sequence[Any]) -> None:
        """Begin a read because the last one did not close the gap.

        Args:
            fallback: The rows of the last read, if it met what was delivered.
        """
        self.useless_reads += 1
        self.fallback = fallback
        self._begin()

    @property
    def is_exhausted(self) -> bool:
        """Whether there were as many useless reads as there are delays."""
        return self.useless_reads >= len(_RETRY_AFTER)

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the present read."""
        return _RETRY_AFTER[min(self.useless_reads, len(_RETRY_AFTER)) - 1]
