"""Lists and pages of records, of which some could not be decoded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, Self, TypeVar, overload

import attrs

__all__ = ["BadRow", "PageRows", "Rows"]

T = TypeVar("T")


@attrs.frozen
class BadRow:
    """A record of a list that could not be decoded."""

    #: Its index in the list that the service sent, from 0, good and bad rows counted.
    position: int
    #: Why it could not be decoded, with a short redacted excerpt.
    reason: str
    #: The JSON text of the record as the service sent it. It is not in the repr.
    raw: bytes = attrs.field(repr=False)


class Rows(list[T]):
    """The records of a list that could be decoded, in order, and in `bad` the others.

    It is a ``list`` and equals any list of the same records; `bad` does not count in comparisons. Like any list it is
    not hashable.
    """

    #: The records that could not be decoded, in order.
    bad: tuple[BadRow, ...]

    def __init__(self, rows: Iterable[T] = (), bad: Iterable[BadRow] = ()) -> None:
        super().__init__(rows)
        self.bad = tuple(bad)

    def __reduce_ex__(self, _: object) -> tuple[type[Self], tuple[list[T], tuple[BadRow, ...]]]:
        return type(self), (list(self), self.bad)


class PageRows(Generic[T]):
    """What pages share: a page is also a sequence of its records, and is false if it has none."""

    __slots__ = ()

    @abstractmethod
    def _rows(self) -> tuple[T, ...]:
        """Return the records of the page."""

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._rows()[index]

    def __contains__(self, item: object) -> bool:
        return item in self._rows()
