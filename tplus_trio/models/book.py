"""Order books and their changes.

Decoding builds up to a hundred thousand of these a second. It therefore bypasses the converters here, and the codec
checks the numbers of a whole frame at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import Any, Final, NamedTuple, Self, TypeGuard, cast

import attrs

from tplus_trio.models.numbers import check_decimal, to_decimal

__all__ = ["LinkedDiff", "OrderBook", "OrderBookDiff", "PriceLevel"]


class _Level(NamedTuple):
    #: In quote units.
    price: Decimal
    #: The total at this price, in base units. In a diff it is the new total, and 0 removes the level.
    quantity: Decimal


class PriceLevel(_Level):
    """One price of a book and the total quantity that rests there.

    The constructor takes a price (quote units) and a quantity (base units), or one iterable of the two, as
    ``attrs.asdict`` needs to copy it. It does not convert or check them.

    Raises:
        TypeError: The iterable does not have two values.
    """

    __slots__ = ()

    def __new__(cls, price: Decimal | Iterable[Any], quantity: Decimal | None = None) -> Self:
        """Make a level of two Decimals, unchecked."""
        pair = (price, quantity) if quantity is not None else tuple(cast("Iterable[Any]", price))
        if len(pair) != 2:
            raise TypeError(f"a level is a price and a quantity, not {len(pair)} values")
        return cls._make(pair)


def _levels(levels: Iterable[PriceLevel | Sequence[Decimal | int | str]]) -> tuple[PriceLevel, ...]:
    """Make levels of plain pairs, for books that are written by hand. Decoding does not run this."""
    # A large book made of another one has thousands of levels that need no conversion.
    return tuple([level if _is_exact(level) else _level(level) for level in levels])


def _is_exact(level: object) -> TypeGuard[PriceLevel]:
    return type(level) is PriceLevel and type(level[0]) is type(level[1]) is Decimal


def _level(pair: Sequence[Decimal | int | str]) -> PriceLevel:
    price, quantity = pair
    level = PriceLevel(to_decimal(price), to_decimal(quantity))
    check_decimal(level.price, "price")
    check_decimal(level.quantity, "quantity")
    return level


_price_of: Final = itemgetter(0)


def sorted_asks(levels: Iterable[PriceLevel]) -> tuple[PriceLevel, ...]:
    """Sort levels by ascending price. A level that is already in place costs one comparison."""
    return tuple(sorted(levels, key=_price_of))


def sorted_bids(levels: Iterable[PriceLevel]) -> tuple[PriceLevel, ...]:
    """Sort levels by descending price. A level that is already in place costs one comparison."""
    # A reversed sort also keeps the order of levels of equal price. If a price is repeated, its last level wins.
    return tuple(sorted(levels, key=_price_of, reverse=True))


def _by_price(
    sort: Callable[[Iterable[PriceLevel]], tuple[PriceLevel, ...]],
    levels: Iterable[PriceLevel | Sequence[Decimal | int | str]],
) -> tuple[PriceLevel, ...]:
    checked = _levels(levels)
    try:
        return sort(checked)
    except InvalidOperation:
        msg = "the price of a level is a number, not NaN"
        raise ValueError(msg) from None


def _asks(levels: Iterable[PriceLevel | Sequence[Decimal | int | str]]) -> tuple[PriceLevel, ...]:
    return _by_price(sorted_asks, levels)


def _bids(levels: Iterable[PriceLevel | Sequence[Decimal | int | str]]) -> tuple[PriceLevel, ...]:
    return _by_price(sorted_bids, levels)


@attrs.frozen
class OrderBook:
    """A whole book at one moment (``GET /marketdepth/{asset}``), with the best level of each side first.

    Prices are in quote units, quantities in base units. The constructor takes pairs of exact numbers as levels, checks
    them and sorts them: ``OrderBook(asks=[("10.5", 2)])``. A `PriceLevel` of two Decimals is taken without a check.

    Raises:
        TypeError: A number is a float or not a number.
        ValueError: A number is NaN, infinite or negative, or has more than 100 digits or an exponent beyond ±99; or a
            level is not a pair.
    """

    #: The levels by ascending price.
    asks: tuple[PriceLevel, ...] = attrs.field(default=(), converter=_asks)
    #: The levels by descending price.
    bids: tuple[PriceLevel, ...] = attrs.field(default=(), converter=_bids)
    #: The number of the last change that this book contains.
    sequence_number: int = 0


@attrs.frozen(weakref_slot=False)
class OrderBookDiff:
    """One change of a book (feed ``/marketdepth/diff/{asset}``): the new total at each price that changed.

    Prices are in quote units, quantities in base units; quantity 0 removes the level. Levels keep the order in which
    the service sent them. If a price is repeated, its last level wins. The constructor takes the same levels and raises
    the same errors as that of `OrderBook`, but does not sort.
    """

    #: The changed levels of the bid side.
    bids: tuple[PriceLevel, ...] = attrs.field(converter=_levels)
    #: The changed levels of the ask side.
    asks: tuple[PriceLevel, ...] = attrs.field(converter=_levels)
    #: The number of this change. The service counts the changes of each asset.
    sequence_number: int

    @property
    def previous_sequence_number(self) -> int:
        """The sequence number of the book that this change applies to."""
        return self.sequence_number - 1


@attrs.frozen(weakref_slot=False)
class LinkedDiff(OrderBookDiff):
    """A change that names the change before it.

    A stream yields these for changes that it merged, and where the sequence numbers of a service are not contiguous.
    """

    #: The sequence number of the book that this change applies to.
    follows: int

    @property
    def previous_sequence_number(self) -> int:
        """The sequence number of the book that this change applies to."""
        return self.follows
