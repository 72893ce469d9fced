"""The state of a depth feed: the book after its last item."""

from __future__ import annotations

from collections.abc import Sequence

from tplus_trio.book.float_book import FloatBook
from tplus_trio.book.local import LocalBook
from tplus_trio.codec import FloatDiff, decode_depth_batch, decode_float_depth_batch
from tplus_trio.models import OrderBook, OrderBookDiff
from tplus_trio.streams.recovery import Depth

__all__ = ["DepthState"]


class DepthState:
    """Keeps a book in step with the items of a depth feed.

    The book compares its prices as floats as long as all of them allow that. The first change that does not turns it
    into a `LocalBook`, until the next snapshot.
    """

    def __init__(self) -> None:
        #: The book after the last item; None before the first snapshot.
        self.book: FloatBook | LocalBook | None = None

    def decode_batch(self, frames: Sequence[bytes | str]) -> Sequence[FloatDiff | OrderBookDiff] | None:
        """Decode frames in the way that the book takes them; as `decode_depth_batch`."""
        return decode_depth_batch(frames) if isinstance(self.book, LocalBook) else decode_float_depth_batch(frames)

    def apply(self, items: Sequence[Depth | FloatDiff]) -> None:
        """Apply items, a snapshot first."""
        book = self.book
        for item in items:
            if type(item) is FloatDiff and type(book) is FloatBook:
                book.apply(item)
            elif isinstance(item, OrderBook):
                self.book = book = FloatBook(item) if FloatBook.fits(item) else LocalBook(item)
            elif isinstance(item, OrderBookDiff | FloatDiff):
                assert book is not None  # noqa: S101 - for the type checker: a snapshot comes first
                if isinstance(book, FloatBook):
                    self.book = book = LocalBook(book.snapshot())
                book.apply(item.exact if isinstance(item, FloatDiff) else item)
