"""Iteration over the rows of all pages of a listing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import trio

from tplus_trio.arguments import check_count
from tplus_trio.errors import DecodeError

__all__ = ["ListedPage", "PageIterator", "page_params", "says_more"]

T = TypeVar("T")

#: Pages in a row that repeat earlier ones, after which a listing that does not say whether more follow has ended.
_REPEATED: Final = 2
#: Pages in a row that repeat earlier ones although the service says that more follow.
_MOST_REPEATED: Final = 10


class ListedPage(NamedTuple, Generic[T]):
    """One page of a listing."""

    rows: Sequence[T]
    #: Whether the service sent no rows. `rows` may be empty because the caller wants none of those that it sent.
    is_empty: bool
    #: Whether the service says that more pages follow; None if it does not say.
    has_next_page: bool | None


def says_more(page: Mapping[str, Any]) -> bool | None:
    """Return what the fields of a page say about the next one; None if they say nothing."""
    said = page.get("has_next_page")
    return said if isinstance(said, bool) else None


def page_params(page: int | None, limit: int | None) -> dict[str, int | None]:
    """Check the two parameters of a page, and return them as query parameters.

    Raises:
        TypeError, ValueError: a parameter is neither None nor a whole number in its range (``page`` at least 0,
            ``limit`` at least 1).
    """
    if page is not None:
        check_count("page", page, least=0)
    if limit is not None:
        check_count("limit", limit)
    return {"page": page, "limit": limit}


class PageIterator(AsyncIterator[T]):
    """Iterates over the rows of all pages of a listing, and reads a page when it needs one.

    Between two rows it holds no connection, task or lock: it may be dropped at any time. If ``__anext__`` is cancelled,
    nothing is lost: the next call reads the same page again, or returns the same row.

    Pages move while they are read. A row that is seen again, as its key tells, is not repeated. The listing ends with
    an empty page, or with a page of which the service says that none follows.

    Args:
        read: Reads a page by its number, from 0.
        key: Returns what makes a row known again.
        max_pages: The most pages to read; None is no limit.
    """

    def __init__(
        self,
        read: Callable[[int], Awaitable[ListedPage[T]]],
        key: Callable[[T], Hashable],
        *,
        max_pages: int | None = None,
    ) -> None:
        self._read = read
        self._key = key
        self._left = max_pages
        self._page = 0
        self._rows: Iterator[T] = iter(())
        self._seen: set[Hashable] = set()
        #: Pages in a row that brought nothing new.
        self._repeated = 0
        self._has_ended = False

    def __aiter__(self) -> PageIterator[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next row.

        Raises:
            StopAsyncIteration: there are no more rows.
            DecodeError: the service repeats the same page and says that more follow; or as the method that made it.
        """
        await trio.lowlevel.checkpoint()
        while True:
            for row in self._rows:
                return row
            if self._has_ended or self._left == 0:
                raise StopAsyncIteration
            self._take(await self._read(self._page))

    def _take(self, page: ListedPage[T]) -> None:
        """Take the rows of a page that was read, and decide whether another one follows."""
        fresh: list[T] = []
        for row in page.rows:
            if (known := self._key(row)) not in self._seen:
                self._seen.add(known)
                fresh.append(row)
        self._repeated = 0 if fresh or not page.rows else self._repeated + 1
        if self._repeated >= _MOST_REPEATED:
            msg = f"the last {self._repeated} pages repeat earlier ones, and the service says that more follow"
            raise DecodeError(msg)
        self._rows = iter(fresh)
        self._page += 1
        if self._left is not None:
            self._left -= 1
        self._has_ended = (
            page.is_empty or page.has_next_page is False or (page.has_next_page is None and self._repeated >= _REPEATED)
        )
