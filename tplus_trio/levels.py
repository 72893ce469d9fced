"""Levels of a book by price, without dicts of prices: a service can choose prices whose hashes are all equal.

Sorting costs a comparison for each level where, as in a book, the levels are sorted already, and is never quadratic.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from tplus_trio.models import PriceLevel

__all__ = ["latest_levels", "matches_changes", "price_of"]

price_of: Final = itemgetter(0)


def latest_levels(levels: Iterable[PriceLevel]) -> list[PriceLevel]:
    """Levels by ascending price, zeros included; of several at one price, the last."""
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
    """Whether one side of a book has what changes say of it: each price's latest quantity, 0 for none."""
    there = iter(latest_levels(book))
    level = next(there, None)
    for price, quantity in latest_levels(changes):
        while level is not None and level.price < price:
            level = next(there, None)
        has = level.quantity if level is not None and level.price == price else 0
        if has != quantity:
            return False
    return True
