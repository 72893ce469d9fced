"""One side of a book whose prices are compared as floats, and read exactly."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from tplus_trio.book.side import BookSide, are_many
from tplus_trio.codec import FLOAT_DIGITS, decode_depth_frame
from tplus_trio.models import PriceLevel

__all__ = ["FloatLevels", "has_float_price"]

_ZERO: Final = Decimal(0)


class FloatLevels(BookSide):
    """One side of a book that looks up and sorts its prices as floats.

    Each level is what a snapshot or an exact diff gave, or the text of the message that it came with: the level is read
    from that when somebody asks for it, as every stream reads it. So nothing that is read has ever been a float. All
    prices have at most 15 digits: their floats are as distinct, and in the same order, as they are themselves.

    Args:
        levels: The levels of a snapshot, in any order, each with a price that passes `has_float_price`. If a price is
            repeated, its last level wins, as in `SortedLevels`.
        is_asks: Whether this is the ask side.
    """

    __slots__ = ("_entries", "_is_asks", "_prices")

    def __init__(self, levels: Iterable[PriceLevel], *, is_asks: bool) -> None:
        self._is_asks = is_asks
        self._entries: dict[float, PriceLevel | bytes] = {float(level[0]): level for level in levels if level[1]}
        self._prices = sorted(self._entries)

    def update(self, changes: Sequence[tuple[float, float]], text: bytes) -> None:
        """Apply the levels of a diff, which came with a text. A quantity of 0 removes a level."""
        entries, prices = self._entries, self._prices
        if are_many(len(changes), len(prices)):
            for price, quantity in changes:
                if quantity:
                    entries[price] = text
                else:
                    entries.pop(price, None)
            # Each insertion would move the prices above it.
            self._prices = sorted(entries)
            return
        for price, quantity in changes:
            if quantity:
                if price not in entries:
                    insort(prices, price)
                entries[price] = text
            elif price in entries:
                del entries[price], prices[bisect_left(prices, price)]

    @property
    def first(self) -> PriceLevel | None:
        """The level with the lowest price; None without levels."""
        return self._level(self._prices[0]) if self._prices else None

    @property
    def last(self) -> PriceLevel | None:
        """The level with the highest price; None without levels."""
        return self._level(self._prices[-1]) if self._prices else None

    def __iter__(self) -> Iterator[PriceLevel]:
        return map(self._level, self._prices)

    def __reversed__(self) -> Iterator[PriceLevel]:
        return map(self._level, reversed(self._prices))

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
