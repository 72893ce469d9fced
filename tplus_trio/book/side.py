"""One side of a book, as a reader sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal

from tplus_trio.models import PriceLevel

__all__ = ["BookSide", "are_many"]

#: A diff with more levels than this is merged into the side in one pass, unless the side has `_MERGE_RATIO` times as
#: many levels: then it costs less to insert each level than to look at all of them.
_FEW_LEVELS: int = 64
_MERGE_RATIO: int = 64


class BookSide(ABC):
    """One side of a book: its levels by ascending price, without those of quantity 0."""

    __slots__ = ()

    @property
    @abstractmethod
    def first(self) -> PriceLevel | None:
        """The level with the lowest price; None without levels."""

    @property
    @abstractmethod
    def last(self) -> PriceLevel | None:
        """The level with the highest price; None without levels."""

    @abstractmethod
    def __iter__(self) -> Iterator[PriceLevel]:
        """Iterate over the levels by ascending price. The side must not change meanwhile."""

    @abstractmethod
    def __reversed__(self) -> Iterator[PriceLevel]:
        """Iterate over the levels by descending price. The side must not change meanwhile."""

    @abstractmethod
    def quantity_at(self, price: Decimal) -> Decimal:
        """Return the quantity at a price, 0 if there is no level."""


def are_many(changes: int, levels: int) -> bool:
    """Return whether so many changes of a side with so many levels are cheaper to merge in one pass."""
    return changes > _FEW_LEVELS and changes * _MERGE_RATIO > levels
