"""Levels of a book by price, without dicts of prices: a service could choose prices whose hashes are all equal.

Levels are sorted instead. That is never quadratic, and costs one comparison a level if they are sorted already.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from tplus_trio.models import PriceLevel

__all__ = ["latest_levels", "matches_changes", "price_of"]

price_of: Final = itemgetter(0)


def latest_levels(levels: Iterable[PriceLevel]) -> list[PriceLevel]:
    """Return levels by rising price, quantities of zero included. If a price is repeated, its last level wins."""
    ordered = sorted(levels, key=price_of)
    latest: list[PriceLevel] = []
    add = latest.append
    last = None
    for level in ordered:
        price = level[0]
        if price == last:
            latest[-1] = level
        else:
            add(level)
            last = price
    return latest


def matches_changes(book: Iterable[PriceLevel], changes: Iterable[PriceLevel]) -> bool:
    """Return whether one side of a book has the latest quantity of each price that changed.

    Args:
        book: The levels of the side, in any order.
        changes: The levels that changed, oldest change first; a quantity of zero means that the price has no level.
    """
    levels = iter(latest_levels(book))
    level = next(levels, None)
    for price, quantity in latest_levels(changes):
        while level is not None and level.price < price:
            level = next(levels, None)
        has = level.quantity if level is not None and level.price == price else 0
        if has != quantity:
            return False
    return True
