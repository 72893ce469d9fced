"""An order book and its changes, as the exchange sends them.

These are built a hundred thousand times a second, so nothing here runs when one is decoded: the codec
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
    #: In units of the quote asset.
    price: Decimal
    #: The total at this price, in units of the base asset; in a diff the new total, where 0 removes the level.
    quantity: Decimal


class PriceLevel(_Level):
    """What rests at one price.

    It is made of a price and a quantity, or, as other tuples are, of one iterable of the two: so `attrs.asdict` can
    copy it.
    """

    __slots__ = ()

    def __new__(cls, price: Decimal | Iterable[Any], quantity: Decimal | None = None) -> Self:
        """A level of two Decimals, which are taken as they are."""
        pair = (price, quantity) if quantity is not None else tuple(cast("Iterable[Any]", price))
        if len(pair) != 2:
            raise TypeError(f"a level is a price and a quantity, not {len(pair)} values")
        return cls._make(pair)


def _levels(levels: Iterable[PriceLevel | Sequence[Decimal | int | str]]) -> tuple[PriceLevel, ...]:
    """Levels from plain pairs, for books that are written by hand; decoding does not come through here."""
    # Those of a book that says what it holds are levels already, thousands of them.
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
    """Levels by ascending price. Those that are sorted already cost one comparison each."""
    return tuple(sorted(levels, key=_price_of))


def sorted_bids(levels: Iterable[PriceLevel]) -> tuple[PriceLevel, ...]:
    """Levels by descending price. Those that are sorted already cost one comparison each."""
    # Levels of equal price keep their order here too: of those, the last holds.
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
    """A whole book at one moment; levels are best first, in whatever order the service sent them.

    The constructor takes any pairs of exact numbers as levels, in any order, checks them and sorts them:
    ``OrderBook(asks=[("10.5", 2)])``. A `PriceLevel` of two Decimals it takes as it is.

    Raises:
        TypeError: A number is a float, or none at all.
        ValueError: A number is NaN, infinite, below zero or of an absurd size; or a level is no pair.
    """

    #: By ascending price.
    asks: tuple[PriceLevel, ...] = attrs.field(default=(), converter=_asks)
    #: By descending price.
    bids: tuple[PriceLevel, ...] = attrs.field(default=(), converter=_bids)
    #: The number of the last change that this book contains.
    sequence_number: int = 0


@attrs.frozen(weakref_slot=False)
class OrderBookDiff:
    """One change of a book: the new total at each price named; 0 removes the level.

    Levels are in the order in which the service sent them: of several at one price, the last holds. The constructor
    takes levels as that of `OrderBook` does, but leaves their order, and raises the same.
    """

    bids: tuple[PriceLevel, ...] = attrs.field(converter=_levels)
    asks: tuple[PriceLevel, ...] = attrs.field(converter=_levels)
    #: The number of this change, counted per asset.
    sequence_number: int

    @property
    def previous_sequence_number(self) -> int:
        """The sequence number of the book that this change applies to."""
        return self.sequence_number - 1


@attrs.frozen(weakref_slot=False)
class LinkedDiff(OrderBookDiff):
    """A change that says which one is before it.

    A stream makes these where it merged changes, and where a service's numbers are not contiguous.
    """

    follows: int

    @property
    def previous_sequence_number(self) -> int:
        """The sequence number of the book that this change applies to."""
        return self.follows
