"""A book whose prices are compared as floats, and read exactly."""

from __future__ import annotations

from tplus_trio.book.float_levels import FloatLevels, has_float_price
from tplus_trio.book.reader import BookReader
from tplus_trio.codec import FloatDiff
from tplus_trio.errors import SequenceGap
from tplus_trio.models import OrderBook

__all__ = ["FloatBook"]


class FloatBook(BookReader[FloatLevels]):
    """A book in memory, like `LocalBook`, at a fraction of its cost. It takes changes whose prices fit.

    Args:
        snapshot: The first state. `fits` is true of it.
    """

    def __init__(self, snapshot: OrderBook) -> None:
        self._bids = FloatLevels(snapshot.bids, is_asks=False)
        self._asks = FloatLevels(snapshot.asks, is_asks=True)
        self._sequence_number = snapshot.sequence_number

    @staticmethod
    def fits(snapshot: OrderBook) -> bool:
        """Return whether every price of a snapshot can be compared as a float."""
        return all(map(has_float_price, snapshot.bids)) and all(map(has_float_price, snapshot.asks))

    def apply(self, diff: FloatDiff) -> None:
        """Apply the next change.

        Raises:
            SequenceGap: the diff does not follow. The book is unchanged.
        """
        number = diff.sequence_number
        if number - 1 != self._sequence_number:
            raise SequenceGap(self._sequence_number + 1, number)
        text = diff.text
        if diff.float_bids:
            self._bids.update(diff.float_bids, text)
        if diff.float_asks:
            self._asks.update(diff.float_asks, text)
        self._sequence_number = number
