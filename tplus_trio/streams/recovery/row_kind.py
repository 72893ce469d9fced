"""What a backfill has to know about the rows of one listing of REST."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

__all__ = ["RowKind"]


class RowKind(ABC):
    """The rows of a listing: how they are found, ordered and compared. It has no state."""

    #: Whether neighbours nearly always have successive numbers, so that `is_adjacent` holds for them.
    is_numbered: bool = False

    @abstractmethod
    def rows(self, answer: Any) -> Sequence[Any]:
        """Return the rows of a page as the service listed them."""

    @abstractmethod
    def sort_key(self, row: Any) -> tuple[int, int]:
        """Return what rows are ordered by: a time, and a number for rows of one time."""

    @abstractmethod
    def ends_ns(self, row: Any) -> int:
        """Return the end of the time that a row is about, in nanoseconds by the clock of the service."""

    @abstractmethod
    def key(self, row: Any) -> str:
        """Return what a row is known by: text, because its hash is salted and a service cannot choose it."""

    @abstractmethod
    def is_adjacent(self, row: Any, older: Any) -> bool:
        """Return whether nothing can lie between a row and an older one."""
