"""Lists of records of which some could not be decoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TypeVar

import attrs

__all__ = ["BadRow", "Rows"]

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
