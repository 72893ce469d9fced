"""Levels of many changes merged to the latest of each price, without a table that a service could make slow."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter
from typing import Final

from tplus_trio.models import PriceLevel

__all__ = ["latest_levels", "sorted_levels"]

#: Up to so many levels a table is quicker, and prices chosen so that their hashes are equal cost 5 ms at most.
_FEW: Final = 500
_price_of: Final = itemgetter(0)


def latest_levels(levels: Sequence[PriceLevel]) -> Sequence[PriceLevel]:
    """The latest level of each price, in any order."""
    if len(levels) > _FEW:
        return sorted_levels(levels)
    by_price: dict[Decimal, PriceLevel] = {}
    for level in levels:
        by_price[level.price] = level
    return [*by_price.values()]


def sorted_levels(levels: Sequence[PriceLevel]) -> list[PriceLevel]:
    """The latest level of each price, lowest price first."""
    # Sorting keeps the order of levels with one price, so that the last of them is the latest.
    ordered = sorted(levels, key=_price_of)
    if not ordered:
        return ordered
    latest = [level for level, after in pairwise(ordered) if level.price != after.price]
    latest.append(ordered[-1])
    return latest
