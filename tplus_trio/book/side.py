"""One side of a book, as a reader sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal

from tplus_trio.models import PriceLevel

__all__ = ["BookSide"]


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
