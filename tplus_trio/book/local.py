"""A book in memory, to which a program applies diffs."""

from __future__ import annotations

from typing import ClassVar

from tplus_trio.book.reader import BookReader
from tplus_trio.book.sorted_levels import SortedLevels
from tplus_trio.errors import SequenceGap
from tplus_trio.models import OrderBook, OrderBookDiff

__all__ = ["LocalBook"]


class LocalBook(BookReader[SortedLevels]):
    """A book in memory, made from a snapshot, to which the program applies diffs. It does no I/O.

    Reading the best levels takes constant time. Changing a level takes a binary search and a move in memory. A local
    book compares by value and is not hashable, since it changes.

    Args:
        snapshot: The first state, as a depth stream or `MarketDataClient.get_orderbook_snapshot` gives it.

    Raises:
        TypeError: ``snapshot`` is not an `OrderBook`.
    """

    def __init__(self, snapshot: OrderBook) -> None:
        _check_kind("a snapshot", snapshot, OrderBook)
        self._bids = SortedLevels(snapshot.bids)
        self._asks = SortedLevels(snapshot.asks)
        self._sequence_number = snapshot.sequence_number

    def apply(self, diff: OrderBookDiff) -> None:
        """Apply the next change.

        Args:
            diff: The diff whose sequence number follows the book's; of a `LinkedDiff`, whose previous number equals it.

        Raises:
            SequenceGap: the diff does not follow. The book is unchanged.
            TypeError: ``diff`` is not an `OrderBookDiff`.
        """
        # The number before a plain diff is known without a call of its property.
        if type(diff) is OrderBookDiff:
            follows = diff.sequence_number - 1
        else:
            _check_kind("a diff", diff, OrderBookDiff)
            follows = diff.previous_sequence_number
        number = diff.sequence_number
        if follows != self._sequence_number:
            raise SequenceGap(self._sequence_number + 1, number)
        self._bids.update(diff.bids)
        self._asks.update(diff.asks)
        self._sequence_number = number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LocalBook):
            return NotImplemented
        return (self._sequence_number, self._bids.levels, self._asks.levels) == (
            other._sequence_number,
            other._bids.levels,
            other._asks.levels,
        )

    __hash__: ClassVar[None]  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<LocalBook {self._sequence_number}: {self.best_bid} / {self.best_ask}>"


def _check_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        msg = f"{what} is an {kind.__name__}, not {type(value).__name__}"
        raise TypeError(msg)
