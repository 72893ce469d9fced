"""Blocks that run only while a live book is in sync."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tplus_trio.book.changes import BookChange, Changes
from tplus_trio.errors import BookNotSynced
from tplus_trio.models import BookLost
from tplus_trio.streams.while_live import WhileLive

if TYPE_CHECKING:
    from tplus_trio.book.live import LiveBook

__all__ = ["BookSession"]


class BookSession(WhileLive[BookLost]):
    """A block that runs while a live book is in sync, as `LiveBook.while_synced` returns it. It is entered once.

    A `BookNotSynced` of this book that leaves the body after the loss ends the block as the loss itself does; every
    other exception leaves unchanged.
    """

    def __init__(self, book: LiveBook, max_silence: float | None) -> None:
        self._book = book
        super().__init__(book.wait_synced, book._sink.losses, book._consumer.silence, max_silence)

    def changes(self) -> AsyncIterator[BookChange]:
        """Iterate as `LiveBook.changes` does, but without `BookLost`: the loss cancels the body.

        Raises:
            BookNotSynced: the iteration goes on after the loss, as under a shield.
        """
        return _States(self)

    def _repeats_loss(self, exc: BaseException) -> bool:
        return self.lost is not None and isinstance(exc, BookNotSynced) and exc.book_id == id(self._book)


class _States(AsyncIterator[BookChange]):
    """The states that one session sees."""

    def __init__(self, session: BookSession) -> None:
        self._session = session
        self._changes = Changes(session._book._sink, session._book._consumer)

    async def __anext__(self) -> BookChange:
        change = await anext(self._changes)
        if self._session.lost is not None or isinstance(change, BookLost):
            raise self._session._book._not_synced()
        return change
