"""Whether the pages of one read of REST's history leave nothing out between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

__all__ = ["Seams"]

#: How often the pages on the two sides of one seam are read again.
_MOST_REPEATS: Final = 4
#: A page of fewer rows does not show that rows are neighbours regularly.
_REGULAR: Final = 3


class Seams:
    """Joins pages that are asked for one after the other, newest first.

    If a row is taken off the list between two requests, or an older replica answers, the rows below move up: from the
    page that is asked for next to the one that was read already, and no page of the read has them. Rows that are made
    meanwhile move the others down, so that pages overlap.

    Two pages join where they overlap, or where the rows at the seam are known to be neighbours. If not, the page above
    is read again. They join if it now meets the one below, or if its rows are the same: then nothing has moved, unless
    it moved back. (An equal end alone shows less: a row taken off and one that is made leave it where it was.) Else the
    page below is read again, and so on, a bounded number of times.

    Args:
        name: What a row is known by, as text.
        adjoins: Whether nothing can lie between a row and an older one.
        numbered: Whether neighbours have successive numbers. If all rows of both pages do, except at the seam, rows
            are missing there, even if both pages are read the same again: two replicas may answer in turn.
    """

    def __init__(self, name: Callable[[Any], str], adjoins: Callable[[Any, Any], bool], *, numbered: bool) -> None:
        self._name = name
        self._adjoins = adjoins
        self._numbered = numbered
        #: The oldest page that was read.
        self.page: int = 0
        #: Whether the pages did not join after all repeats.
        self.is_torn: bool = False
        #: Whether the pages that join reach what was delivered before.
        self.met: bool = False
        #: The oldest page that joins, and the one that was read below it, which does not join yet.
        self._above: Sequence[Any] | None = None
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
            rows: Its rows, newest first; None for one that could not be decoded.
            met: Whether this page reaches what was delivered before.

        Returns:
            The page to read again; None if all pages join that were read so far, or if they are torn.
        """
        above = self._above
        if page < self.page and above is not None:
            is_same = self._names(rows) == self._names(above)
            if met or self._joins(rows, self._below) or (is_same and not self._lacks_rows(rows, self._below)):
                self._accept(self._below, met=met or self._below_met)
                return None
            self._above = rows
            return self._again(self.page)
        self.page = page
        # The end of a history that does not reach far enough proves nothing, so it need not join.
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
        self.is_torn = self._repeats > _MOST_REPEATS
        return None if self.is_torn else page

    def _names(self, rows: Sequence[Any]) -> list[str | None]:
        return [None if row is None else self._name(row) for row in rows]

    def _joins(self, above: Sequence[Any], below: Sequence[Any]) -> bool:
        if not above or not below:
            # A page that is shorter than others was the last one.
            return len(above) < self._longest
        if above[-1] is not None and below[0] is not None and self._adjoins(above[-1], below[0]):
            return True
        names = {self._name(row) for row in above if row is not None}
        return any(row is not None and self._name(row) in names for row in below)

    def _lacks_rows(self, above: Sequence[Any], below: Sequence[Any]) -> bool:
        if not self._numbered or min(len(above), len(below)) < _REGULAR or None in above or None in below:
            return False
        return all(self._adjoins(newer, older) for rows in (above, below) for newer, older in pairwise(rows))
