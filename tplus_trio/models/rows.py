"""Pages and lists of records of which some could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TypeVar

import attrs

__all__ = ["BadRow", "Rows"]

T = TypeVar("T")


@attrs.frozen
class BadRow:
    """A record of a list that is not as the protocol says."""

    #: Where it stood in the list as it was sent, counted from 0 over good and bad rows.
    position: int
    #: What is wrong with it, with a short redacted excerpt.
    reason: str
    #: The record as it was sent, by which it is known again. Not in the repr.
    raw: bytes = attrs.field(repr=False)


class Rows(list[T]):
    """The good records of a list, in order, and beside them what could not be read.

    It is a ``list``, and equal to one of the same records, whatever is in `bad`. Like any list it is not hashable.
    """

    #: The records that could not be read, in order.
    bad: tuple[BadRow, ...]

    def __init__(self, rows: Iterable[T] = (), bad: Iterable[BadRow] = ()) -> None:
        super().__init__(rows)
        self.bad = tuple(bad)

    def __reduce_ex__(self, _: object) -> tuple[type[Self], tuple[list[T], tuple[BadRow, ...]]]:
        return type(self), (list(self), self.bad)
