"""Rows of REST's history that could not be decoded, and for which a `Gap` was delivered already."""

from __future__ import annotations

from typing import Final

__all__ = ["UnreadableRows"]

#: How many places are remembered: more than the rows of a bounded backfill.
_REMEMBERED: Final = 2000


class UnreadableRows:
    """A bounded memory: how many undecodable rows stood above which row when a gap was delivered for them."""

    def __init__(self) -> None:
        self._count_above: dict[str, int] = {}

    def are_new(self, below: str, count: int) -> bool:
        """Remember undecodable rows, and return whether some of them are new.

        Args:
            below: The key of the decoded row below them, ``""`` if they are the oldest.
            count: How many they are.
        """
        counts = self._count_above
        if not count or counts.get(below, 0) >= count:
            return False
        counts.pop(below, None)
        counts[below] = count
        if len(counts) > _REMEMBERED:
            del counts[next(iter(counts))]
        return True
