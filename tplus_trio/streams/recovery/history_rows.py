"""The rows of a page of REST's history: their order, and the places of those that could not be decoded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

__all__ = ["newest_first", "of_two_readings", "rows_of"]

T = TypeVar("T")


def rows_of(items: Sequence[T]) -> list[T | None]:
    """Return the rows of a page as the service listed them, with None for each undecodable one.

    Args:
        items: The decoded rows. Their attribute ``bad``, if there is one, holds the positions of the undecodable rows
            among all rows, as numbers or as objects with a ``position``; or only their count, as a number.
    """
    rows: list[T | None] = list(items)
    bad: Any = getattr(items, "bad", ())
    if isinstance(bad, int):
        # Their positions are unknown. At the newest end, they count as missed.
        return [*(None for _ in range(bad)), *rows]
    positions: list[int] = [getattr(each, "position", each) for each in bad]
    for position in sorted(positions):
        rows.insert(position, None)
    return rows


def newest_first(rows: Sequence[T | None], key: Callable[[T], tuple[int, int]]) -> list[T | None]:
    """Sort rows by falling time. An undecodable row stays above the row that followed it.

    Rows stay as they are if their times fall already and their numbers do not mostly rise. If most rows are newer than
    the one above them, the page is reversed first.

    Args:
        rows: The rows of a page, in the order of the service.
        key: Returns the time and the number of a row.
    """
    keys = [(key(row) if row is not None else None) for row in rows]
    pairs = list(_pairs(keys))
    if all(newer[0] >= older[0] for newer, older in pairs) and not _is_ascending(pairs):
        return list(rows)
    if _is_ascending(pairs):
        rows, keys = rows[::-1], keys[::-1]
    below: int | None = None
    timed: list[tuple[int, T | None]] = []
    for row, each in zip(reversed(rows), reversed(keys), strict=True):
        if each is not None:
            below = each[0]
        timed.append((below if below is not None else -(2**63), row))
    timed.reverse()
    # The sort is stable: rows of one time keep their order.
    timed.sort(key=lambda pair: -pair[0])
    return [row for _, row in timed]


def of_two_readings(older: Sequence[T | None], newer: Sequence[T | None], name: Callable[[T], str]) -> list[T | None]:
    """Merge two readings of one page, newest row first.

    A row that only the older reading has keeps its place: it moved to another page or was taken off the list.
    Undecodable rows are taken from the newer reading, except above the first row that both have.

    Args:
        older: The rows of the first reading.
        newer: The rows of the second.
        name: Returns what a row is known by.
    """
    place = {name(row): n for n, row in enumerate(newer) if row is not None}
    above: dict[int, list[T | None]] = {}
    alone: list[T | None] = []
    for row in older:
        n = None if row is None else place.get(name(row))
        if n is not None:
            above.setdefault(n, []).extend(alone)
            alone = []
        elif row is not None or not above:
            alone.append(row)
    if not above:
        return [*older, *newer]
    return [*(each for n, row in enumerate(newer) for each in (*above.get(n, ()), row)), *alone]


def _pairs(keys: Iterable[tuple[int, int] | None]) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    known = [key for key in keys if key is not None]
    return pairwise(known)


def _is_ascending(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    """Whether most rows are newer than the one above them."""
    rising = sum(above < below for above, below in pairs)
    falling = sum(above > below for above, below in pairs)
    return rising > falling
