"""One side of a book whose prices are compared as floats, and read exactly."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from tplus_trio.book.side import BookSide
from tplus_trio.codec import FLOAT_DIGITS, FloatDiff, decode_depth_frame
from tplus_trio.models import PriceLevel

__all__ = ["FloatLevels", "has_float_price"]

_ZERO: Final = Decimal(0)
#: To insert or remove a price costs as much as to sort a side with so many prices, or less if the side is large.
_COST_OF_A_MOVE: Final = 4


class FloatLevels(BookSide):
    """One side of a book that looks up and sorts its prices as floats.

    A level of a snapshot is kept as it is. A level of a diff is kept as the text of its message, and decoded to
    `Decimal`s when somebody reads it. So no float is ever returned. All prices have at most 15 digits, so their floats
    are distinct and in the same order.

    Args:
        levels: The levels of a snapshot, in any order, each with a price that passes `has_float_price`. If a price is
            repeated, its last level wins, as in `SortedLevels`.
        is_asks: Whether this is the ask side.
    """

    # The prices are sorted when somebody reads, which is less work than to sort after each change of a batch.
    __slots__ = ("_best", "_entries", "_is_asks", "_moved", "_prices")

    def __init__(self, levels: Iterable[PriceLevel], *, is_asks: bool) -> None:
        self._is_asks = is_asks
        self._entries: dict[float, PriceLevel | bytes] = {float(level[0]): level for level in levels if level[1]}
        self._prices = sorted(self._entries)
        #: Prices that were added or removed since `_prices` was right; None if they were too many to remember.
        self._moved: list[float] | None = []
        #: The best price, if it was found since the last change without sorting.
        self._best: float | None = None

    def update(self, diffs: Sequence[FloatDiff]) -> None:
        """Apply the levels of several changes. A quantity of 0 removes a level."""
        entries, moved, is_asks = self._entries, self._moved, self._is_asks
        self._best = None
        if moved is None or len(moved) + len(diffs) > len(entries) / _COST_OF_A_MOVE:
            # To sort everything is less work than to remember what moved, so this is not remembered.
            self._moved = None
            remove = entries.pop
            for diff in diffs:
                text = diff.text
                for price, quantity in diff.float_asks if is_asks else diff.float_bids:
                    if quantity:
                        entries[price] = text
                    else:
                        remove(price, None)
            return
        for diff in diffs:
            text = diff.text
            for price, quantity in diff.float_asks if is_asks else diff.float_bids:
                if quantity:
                    if price not in entries:
                        moved.append(price)
                    entries[price] = text
                elif price in entries:
                    del entries[price]
                    moved.append(price)

    def _sorted(self) -> list[float]:
        """Return the prices of the side, ascending."""
        if self._moved != []:
            self._sort()
        return self._prices

    def _sort(self) -> None:
        entries, moved = self._entries, self._moved
        if moved is None or len(moved) * _COST_OF_A_MOVE > len(entries):
            self._prices = sorted(entries)
        else:
            prices = self._prices
            for price in moved:
                index = bisect_left(prices, price)
                is_there = index < len(prices) and prices[index] == price
                if price not in entries:
                    if is_there:
                        del prices[index]
                elif not is_there:
                    prices.insert(index, price)
        self._moved = []

    @property
    def first(self) -> PriceLevel | None:
        """The level with the lowest price; None without levels."""
        return self._end(0, is_best=self._is_asks)

    @property
    def last(self) -> PriceLevel | None:
        """The level with the highest price; None without levels."""
        return self._end(-1, is_best=not self._is_asks)

    def _end(self, index: int, *, is_best: bool) -> PriceLevel | None:
        entries = self._entries
        if not entries:
            return None
        # To find the best price takes a third of the time of sorting, and often nobody reads more.
        moved = self._moved
        if is_best and (moved is None or len(moved) * _COST_OF_A_MOVE > len(entries)):
            if self._best is None:
                self._best = min(entries) if self._is_asks else max(entries)
            return self._level(self._best)
        return self._level(self._sorted()[index])

    def __iter__(self) -> Iterator[PriceLevel]:
        return map(self._level, self._sorted())

    def __reversed__(self) -> Iterator[PriceLevel]:
        return map(self._level, reversed(self._sorted()))

    def quantity_at(self, price: Decimal) -> Decimal:
        """Return the quantity at a price, 0 if there is no level."""
        found = float(price)
        if found not in self._entries:
            return _ZERO
        level = self._level(found)
        return level.quantity if level.price == price else _ZERO  # many Decimals have the same float

    def _level(self, price: float) -> PriceLevel:
        """Return the level at a price that there is, read exactly."""
        entry = self._entries[price]
        return self._read(price, entry) if isinstance(entry, bytes) else entry

    def _read(self, price: float, text: bytes) -> PriceLevel:
        """Read the levels that came with a text, and return the one at a price."""
        entries = self._entries
        (diff,) = decode_depth_frame(text)
        # If a price is repeated, its last level is in the dict.
        for at, level in {float(level[0]): level for level in (diff.asks if self._is_asks else diff.bids)}.items():
            if entries.get(at) is text:
                entries[at] = level
        found = entries[price]
        assert not isinstance(found, bytes)  # noqa: S101 - for the type checker: the text has the price
        return found


def has_float_price(level: PriceLevel) -> bool:
    """Return whether the price of a level is compared as a float exactly as it is compared itself."""
    text = str(level[0])
    # Small prices have an exponent there, also if the service wrote none.
    return len(text if "E" not in text else f"{level[0]:f}") <= FLOAT_DIGITS
