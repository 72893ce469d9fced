"""One side of a book: its levels by price."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from tplus_trio.book.side import BookSide
from tplus_trio.levels import latest_levels, price_of
from tplus_trio.models import PriceLevel

__all__ = ["SortedLevels"]

_ZERO: Final = Decimal(0)
#: A diff with more levels than this is merged into the side in one pass, unless the side has `_MERGE_RATIO` times as
#: many levels: then it costs less to insert each level than to look at all of them.
_FEW_LEVELS: Final = 64
_MERGE_RATIO: Final = 64


class SortedLevels(BookSide):
    """One side of a book, compared by `Decimal` prices.

    Prices are looked up by bisection, not in a dict: to hash a `Decimal` that was just decoded takes as long as a dozen
    comparisons.

    Args:
        levels: The levels of a snapshot, in any order. If a price is repeated, its last level wins.
    """

    __slots__ = ("_prices", "levels")

    def __init__(self, levels: Iterable[PriceLevel]) -> None:
        self.levels: list[PriceLevel] = []
        self._prices: list[Decimal] = []
        self._set([level for level in levels if level[1]])

    def _set(self, levels: Iterable[PriceLevel]) -> None:
        """Replace the side. If a price is repeated, its last level wins."""
        self.levels = [level for level in latest_levels(levels) if level[1]]
        self._prices = [*map(price_of, self.levels)]

    def update(self, changes: Sequence[PriceLevel]) -> None:
        """Apply the levels of a diff. A quantity of 0 removes a level."""
        if len(changes) > _FEW_LEVELS and len(changes) * _MERGE_RATIO > len(self.levels):
            # Each insertion would move the levels above it.
            self._set([*self.levels, *sorted(changes, key=price_of)])
            return
        prices, levels = self._prices, self.levels
        for level in changes:
            price, quantity = level
            index = bisect_left(prices, price)
            if index < len(prices) and prices[index] == price:
                if quantity:
                    levels[index] = level
                else:
                    del prices[index], levels[index]
            elif quantity:
                prices.insert(index, price)
                levels.insert(index, level)

    @property
    def first(self) -> PriceLevel | None:
        """The level with the lowest price; None without levels."""
        return self.levels[0] if self.levels else None

    @property
    def last(self) -> PriceLevel | None:
        """The level with the highest price; None without levels."""
        return self.levels[-1] if self.levels else None

    def __iter__(self) -> Iterator[PriceLevel]:
        return iter(self.levels)

    def __reversed__(self) -> Iterator[PriceLevel]:
        return reversed(self.levels)

    def quantity_at(self, price: Decimal) -> Decimal:
        """Return the quantity at a price, 0 if there is no level."""
        index = bisect_left(self._prices, price)
        return self.levels[index].quantity if self._prices[index : index + 1] == [price] else _ZERO
