"""A book whose prices are compared as floats, and read exactly."""

from __future__ import annotations

from collections.abc import Sequence

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

    def apply(self, diffs: Sequence[FloatDiff]) -> None:
        """Apply the next changes.

        Raises:
            SequenceGap: one of them does not follow. The book is unchanged.
        """
        number = self._sequence_number
        for diff in diffs:
            number += 1
            if diff.sequence_number != number:
                raise SequenceGap(number, diff.sequence_number)
        self._bids.update(diffs)
        self._asks.update(diffs)
        self._sequence_number = number
