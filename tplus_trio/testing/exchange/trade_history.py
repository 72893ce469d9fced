"""The history of trades: their ids, and their states over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self, TypeVar

from tplus_trio.models import Trade

__all__ = ["Revisions", "TradeIds", "append_bounded"]

T = TypeVar("T")

#: A history keeps at least this number of items, and at most twice as many.
MIN_HISTORY: Final = 100_000


def append_bounded(history: list[T], item: T) -> None:
    """Append to a history, and drop its older half when it is full."""
    history.append(item)
    if len(history) > 2 * MIN_HISTORY:
        del history[:-MIN_HISTORY]


class TradeIds:
    """Trade ids: counted over all markets, and above the ids of tapes."""

    def __init__(self) -> None:
        self._last = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        self._last += 1
        return self._last

    def skip_used(self, used: int) -> None:
        """Never return this id or a lower one."""
        self._last = max(self._last, used)

    def restart(self) -> None:
        """Count from 1 again."""
        self._last = 0


class Revisions:
    """Every state that each trade had, in the order of recording."""

    def __init__(self) -> None:
        self._changes: list[tuple[int, Trade | None, Trade]] = []

    def add(self, now_ns: int, before: Trade | None, after: Trade) -> None:
        """Record a new trade (``before`` is None), or another state of one."""
        append_bounded(self._changes, (now_ns, before, after))

    def since(self, start: int) -> list[tuple[int, Trade]]:
        """Return each state from the ``start``-th on, with its time of recording in nanoseconds."""
        return [(now_ns, after) for now_ns, _, after in self._changes[start:]]

    def as_of(self, trades: Sequence[Trade], then_ns: int) -> Sequence[Trade]:
        """Return these trades as they were at an earlier time: without later trades, and without later states."""
        before: dict[int, Trade | None] = {}
        for now_ns, old, new in reversed(self._changes):
            if now_ns <= then_ns:
                break
            before[id(new)] = old
        if not before:
            return trades
        found: list[Trade] = []
        for trade in trades:
            state: Trade | None = trade
            while state is not None and id(state) in before:
                state = before[id(state)]
            if state is not None:
                found.append(state)
        return found
