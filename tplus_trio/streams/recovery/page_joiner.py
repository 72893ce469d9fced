"""Whether the pages of one read of REST's history leave nothing out between them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from tplus_trio.streams.recovery.row_kind import RowKind

__all__ = ["PageJoiner"]

#: The most requests for pages on the two sides of one seam, beyond the first.
_MAX_REPEATS: Final = 4
#: The fewest rows of a page that can show that its rows are neighbours.
_MIN_ROWS: Final = 3


class PageJoiner:
    """Joins pages that are requested one after the other, newest first.

    If a row is taken off the list between two requests, or an older replica answers, the rows below move up: some move
    from the page that is requested next to the one that was read already, and no page of the read has them. Rows that
    are made meanwhile move the others down, so that pages overlap.

    Two pages join if they overlap, or if the rows at the seam are known to be neighbours. Otherwise the page above is
    read again. The pages join if it now meets the page below, or if its rows are the same: then nothing has moved,
    unless it moved back. (An equal last row shows less: a row taken off and a row made leave it where it was.)
    Otherwise the page below is read again, and so on, a bounded number of times.

    If the rows are numbered, and all rows of both pages are neighbours except at the seam, then rows are missing at the
    seam, even if both pages are the same when they are read again: two replicas may answer in turn.

    Args:
        kind: What the rows are.
    """

    def __init__(self, kind: RowKind) -> None:
        self._kind = kind
        #: The oldest page that was read.
        self.page: int = 0
        #: Whether the pages did not join after all repeats.
        self.is_torn: bool = False
        #: Whether the pages that join reach what was delivered before.
        self.met: bool = False
        #: The oldest page that joins.
        self._above: Sequence[Any] | None = None
        #: The page that was read below it, which does not join yet; and whether it reaches what was delivered.
        self._below: Sequence[Any] = ()
        self._below_met = False
        self._longest = 0
        self._repeats = 0

    @property
    def goes_on(self) -> bool:
        """Whether there may be a page below those that join."""
        return bool(self._above)

    def take(self, page: int, rows: Sequence[Any], *, met: bool) -> int | None:
        """Take a page.

        Args:
            page: Its number.
            rows: Its rows, newest first; None for an undecodable one.
            met: Whether this page reaches what was delivered before.

        Returns:
            The page to read again; None if all pages that were read so far join, or if they are torn.
        """
        above = self._above
        if page < self.page and above is not None:
            is_same = self._keys(rows) == self._keys(above)
            if met or self._joins(rows, self._below) or (is_same and not self._lacks_rows(rows, self._below)):
                self._accept(self._below, met=met or self._below_met)
                return None
            self._above = rows
            return self._again(self.page)
        self.page = page
        # An empty page that reaches nothing proves nothing, so it need not join.
        if above is None or self._joins(above, rows) or not (rows or met):
            self._accept(rows, met=met)
            return None
        self._below, self._below_met = rows, met
        return self._again(page - 1)

    def _accept(self, rows: Sequence[Any], *, met: bool) -> None:
        self._above, self.met, self._repeats = rows, met, 0
        self._longest = max(self._longest, len(rows))

    def _again(self, page: int) -> int | None:
        self._repeats += 1
        self.is_torn = self._repeats > _MAX_REPEATS
        return None if self.is_torn else page

    def _keys(self, rows: Sequence[Any]) -> list[str | None]:
        return [None if row is None else self._kind.key(row) for row in rows]

    def _joins(self, above: Sequence[Any], below: Sequence[Any]) -> bool:
        if not above or not below:
            # A page that is shorter than others was the last one.
            return len(above) < self._longest
        if above[-1] is not None and below[0] is not None and self._kind.is_adjacent(above[-1], below[0]):
            return True
        keys = {self._kind.key(row) for row in above if row is not None}
        return any(row is not None and self._kind.key(row) in keys for row in below)

    def _lacks_rows(self, above: Sequence[Any], below: Sequence[Any]) -> bool:
        if not self._kind.is_numbered or min(len(above), len(below)) < _MIN_ROWS or None in above or None in below:
            return False
        return all(self._kind.is_adjacent(newer, older) for rows in (above, below) for newer, older in pairwise(rows))
