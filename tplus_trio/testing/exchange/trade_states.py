"""The states that each user's trades and positions had in the last minutes, for listings that are behind."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from tplus_trio.models import UserTrade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.faults.listing_faults import LONGEST_LAG
from tplus_trio.testing.exchange.positions import PositionSum

__all__ = ["TradeStates"]

#: Market and sub-account.
_Key: TypeAlias = tuple[str, int]


class TradeStates:
    """The former statuses of trades, and the former sums of positions, with their times.

    Args:
        now_ns: The exchange's clock, in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        #: Each user's changes of statuses: the time, the trade after the change, and the status before it.
        self._statuses: dict[str, deque[tuple[int, UserTrade, TradeStatus | str]]] = {}
        self._sums: dict[str, dict[_Key, deque[tuple[int, PositionSum]]]] = {}

    def add_status(self, user: str, trade: UserTrade, before: TradeStatus | str) -> None:
        """Keep a change of a trade's status; ``trade`` is the trade after the change."""
        changes = self._statuses.setdefault(user, deque())
        changes.append((self._now_ns(), trade, before))
        while changes[0][0] < self._oldest_ns():
            changes.popleft()

    def add_position(self, user: str, key: _Key, position: PositionSum) -> None:
        """Keep the sum of a position as it is now."""
        states = self._sums.setdefault(user, {}).setdefault(key, deque())
        states.append((self._now_ns(), copy.copy(position)))
        while len(states) > 1 and states[1][0] <= self._oldest_ns():
            states.popleft()

    def trade(self, user: str, trade: UserTrade, time_ns: int) -> UserTrade:
        """Return a trade, which is older than ``time_ns``, as it was at that time."""
        for at_ns, changed, before in self._statuses.get(user, ()):
            if at_ns > time_ns and _is_same(changed, trade):
                return attrs.evolve(trade, status=before, rollback_reason=None)
        return trade

    def positions(self, user: str, time_ns: int) -> Mapping[_Key, PositionSum]:
        """Return the sums of a user's positions as they were at a time."""
        found: dict[_Key, PositionSum] = {}
        for key, states in self._sums.get(user, {}).items():
            state = next((one for at_ns, one in reversed(states) if at_ns <= time_ns), None)
            if state is not None:
                found[key] = state
        return found

    def _oldest_ns(self) -> int:
        return self._now_ns() - round(LONGEST_LAG * 1e9)


def _is_same(one: UserTrade, other: UserTrade) -> bool:
    """Return whether two states are of one trade."""
    return (one.asset_id, one.trade_id, one.timestamp_ns, one.order_id) == (
        other.asset_id,
        other.trade_id,
        other.timestamp_ns,
        other.order_id,
    )
