"""The states that each order had in the last minutes, for listings that are behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

from tplus_trio.testing.exchange.faults.listing_faults import LONGEST_LAG
from tplus_trio.testing.exchange.order_fills import OrderFills
from tplus_trio.testing.exchange.order_records import OrderRecord

__all__ = ["OrderHistory"]

#: Orders whose states are kept; the oldest is dropped first.
_MAX_ORDERS: Final = 60_000


class OrderHistory:
    """The states of each order, with their times.

    Args:
        now_ns: The exchange's clock, in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._states: dict[tuple[str, int], list[tuple[int, OrderRecord]]] = {}

    def add(self, record: OrderRecord) -> None:
        """Keep an order's state as it is now."""
        now_ns = self._now_ns()
        states = self._states.setdefault((record.key, record.timestamp_ns), [])
        state = copy.copy(record)
        fills = record.fills
        state.fills = OrderFills(copy.copy(fills.pending), copy.copy(fills.confirmed), copy.copy(fills.rolled_back))
        states.append((now_ns, state))
        oldest = now_ns - round(LONGEST_LAG * 1e9)
        while len(states) > 1 and states[1][0] <= oldest:
            del states[0]
        if len(self._states) > _MAX_ORDERS:
            del self._states[next(iter(self._states))]

    def at(self, record: OrderRecord, time_ns: int) -> OrderRecord | None:
        """Return an order as it was at a time; None if it did not exist then."""
        if record.timestamp_ns > time_ns:
            return None
        states = self._states.get((record.key, record.timestamp_ns), [])
        return next((state for at, state in reversed(states) if at <= time_ns), record)
