"""The depth of one market: its levels as exact decimals, and its frames and answers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, TypeAlias

from tplus_trio.models import OrderBook, PriceLevel

__all__ = ["DepthBook", "Level", "encode_diff", "encode_snapshot", "number_text"]

Level: TypeAlias = tuple[Decimal, Decimal]

FIRST_SEQUENCE_NUMBER: Final = 1000
#: The number of changes that a stale snapshot can go back.
_HISTORY: Final = 1024


class DepthBook:
    """A book of price levels with the sequence number of its last change."""

    def __init__(self) -> None:
        self.sequence_number: int = FIRST_SEQUENCE_NUMBER
        #: Whether the book never changed.
        self.is_new: bool = True
        #: Whether the levels are right; False after a tape has lost changes and has no snapshot behind them.
        self.is_known: bool = True
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        #: For each of the last changes: the sequence number and the levels before it.
        self._undo: deque[tuple[int, list[Level], list[Level]]] = deque(maxlen=_HISTORY)
        #: The time of each of the last changes, in nanoseconds.
        self._times: deque[int] = deque(maxlen=_HISTORY)

    def load(self, bids: Iterable[Level], asks: Iterable[Level], sequence_number: int) -> None:
        """Replace the whole book."""
        self._bids, self._asks = dict(bids), dict(asks)
        self.sequence_number = sequence_number
        self.is_new, self.is_known = False, True
        self._undo.clear()
        self._times.clear()

    def apply(self, bids: Iterable[Level], asks: Iterable[Level], sequence_number: int, now_ns: int = 0) -> None:
        """Set the totals of some levels; 0 removes a level."""
        before = (self.sequence_number, _update(self._bids, bids), _update(self._asks, asks))
        self._undo.append(before)
        self._times.append(now_ns)
        self.is_new = False
        self.sequence_number = sequence_number

    def changes_since(self, then_ns: int) -> int:
        """Return how many of the last changes were made after a time."""
        return sum(1 for _ in itertools.takewhile(lambda made_ns: made_ns > then_ns, reversed(self._times)))

    def snapshot(self, behind: int = 0) -> OrderBook:
        """Return the book, best prices first.

        Args:
            behind: The number of changes to go back; the oldest known state if there are fewer.
        """
        bids, asks, number = self._bids, self._asks, self.sequence_number
        if behind > 0 and self._undo:
            bids, asks = dict(bids), dict(asks)
            for back in range(1, min(behind, len(self._undo)) + 1):
                number, old_bids, old_asks = self._undo[-back]
                _update(bids, old_bids)
                _update(asks, old_asks)
        return OrderBook(
            asks=tuple(PriceLevel(*level) for level in sorted(asks.items())),
            bids=tuple(PriceLevel(*level) for level in sorted(bids.items(), reverse=True)),
            sequence_number=number,
        )

    def best(self) -> tuple[Level | None, Level | None]:
        """Return the best bid and the best ask; None for an empty side."""
        return (
            max(self._bids.items(), default=None),
            min(self._asks.items(), default=None),
        )


def _update(side: dict[Decimal, Decimal], levels: Iterable[Level]) -> list[Level]:
    """Write levels into a side, and return the levels that undo it."""
    undo: list[Level] = []
    for price, quantity in levels:
        undo.append((price, side.get(price, Decimal(0))))
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)
    undo.reverse()
    return undo


def number_text(value: Decimal) -> str:
    """Return a decimal in digits without an exponent, which is also a JSON number."""
    return format(value, "f")


def _levels_text(levels: Iterable[Level]) -> str:
    return ",".join([f"[{number_text(price)},{number_text(quantity)}]" for price, quantity in levels])


def encode_diff(bids: Iterable[Level], asks: Iterable[Level], sequence_number: int) -> bytes:
    """Return a frame of ``/marketdepth/diff/{asset}``."""
    return (
        f'{{"bids":[{_levels_text(bids)}],"asks":[{_levels_text(asks)}],"sequence_number":{sequence_number}}}'
    ).encode()


def encode_snapshot(book: OrderBook) -> bytes:
    """Return the body of ``GET /marketdepth/{asset}``."""
    return (
        f'{{"asks":[{_levels_text(book.asks)}],"bids":[{_levels_text(book.bids)}],'
        f'"sequence_number":{book.sequence_number}}}'
    ).encode()
