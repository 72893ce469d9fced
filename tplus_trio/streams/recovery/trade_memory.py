"""Which trades were delivered, and in which statuses. A trade is known by asset, id, time, price and quantity."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from itertools import islice
from typing import Final

from tplus_trio.models import AssetIdentifier, Trade

__all__ = ["TradeMemory", "identity_of", "is_advanced"]

#: The fewest trades that are remembered: more than a bounded backfill can bring.
_REMEMBERED: Final = 10_000
#: The most statuses of one trade that are remembered.
_STATUSES: Final = 8
#: The order of the statuses. A status that is not listed cannot be compared with another one.
_RANKS: Final = {"Pending": 0, "Confirmed": 1, "Rollbacked": 2}
#: Removes trailing zeros without rounding.
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_normalize: Final = _EXACT.normalize


def identity_of(trade: Trade) -> str:
    """Return what a trade is known by, as text: its hash is salted, so a service cannot choose equal hashes."""
    price, quantity = _normalize(trade.price), _normalize(trade.quantity)
    return f"{trade.asset_id} {trade.trade_id} {trade.timestamp_ns} {price} {quantity}"


def is_advanced(status: str, than: str) -> bool:
    """Return whether a status equals the other one, or comes after it."""
    if status == than:
        return True
    rank, other = _RANKS.get(status), _RANKS.get(than)
    return rank is not None and other is not None and rank > other


class TradeMemory:
    """Recognises trades: at least the last `_REMEMBERED` of them.

    A feed in order costs next to nothing: a trade whose id is above all earlier ids of its market is new. Only when a
    trade with another id comes is the identity of each remembered trade computed, once.
    """

    def __init__(self) -> None:
        #: The trades that were delivered last, in order. The last `_unindexed` of them are not in `_statuses` yet.
        self._recent: deque[Trade] = deque(maxlen=_REMEMBERED)
        self._unindexed = 0
        #: The delivered statuses of each trade by its identity, oldest first.
        self._statuses: dict[str, tuple[str, ...]] = {}
        #: The highest id of each market. The second holds those of markets that have been quiet for long.
        self._highest: dict[AssetIdentifier, int] = {}
        self._earlier_highest: dict[AssetIdentifier, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._recent)

    def knows(self, trade: Trade) -> bool:
        """Return whether the trade was delivered, in any status."""
        return self._is_listed(trade) and identity_of(trade) in self._index()

    def was_delivered(self, trade: Trade) -> bool:
        """Return whether the trade was delivered in this status."""
        return self._is_listed(trade) and trade.status in self._index().get(identity_of(trade), ())

    def new(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Return the trades that were not delivered in their status yet, and remember them as delivered."""
        highest, count = self._highest, 0
        market: AssetIdentifier | None = None
        top = -1
        for trade in trades:
            if trade.asset_id is not market:
                if market is not None:
                    highest[market] = top
                market = trade.asset_id
                top = highest.get(market, -1) if market in highest else self._earlier_highest.get(market, -1)
            if trade.trade_id <= top:
                break
            top = trade.trade_id
            count += 1
        if market is not None:
            highest[market] = top
        if count == len(trades):
            # The usual case: each id is above the one before.
            self._remember(trades)
            return trades
        self._remember(trades[:count])
        return [*trades[:count], *(trade for trade in trades[count:] if self.add(trade))]

    def add(self, trade: Trade) -> bool:
        """Remember a trade as delivered unless it was, and return whether it is new.

        A status is not new if a later status of the trade was delivered: REST may have listed that one first.
        """
        if self._is_listed(trade):
            delivered = self._index().get(identity_of(trade), ())
            if any(is_advanced(status, trade.status) for status in delivered):
                return False
        elif trade.trade_id >= 0:
            self._highest[trade.asset_id] = trade.trade_id
        self._remember((trade,))
        return True

    def _is_listed(self, trade: Trade) -> bool:
        """Return whether the trade may have been delivered, judged by its id alone."""
        asset, number = trade.asset_id, trade.trade_id
        return number < 0 or number <= self._highest.get(asset, self._earlier_highest.get(asset, -1))

    def _remember(self, trades: Sequence[Trade]) -> None:
        self._recent.extend(trades)
        self._unindexed += len(trades)
        self._count += len(trades)
        if self._count >= _REMEMBERED:
            self._count = 0
            earlier, self._earlier_highest = self._earlier_highest, self._highest
            self._highest = {}
            for asset in self._earlier_highest:
                if asset in earlier:
                    self._earlier_highest[asset] = max(self._earlier_highest[asset], earlier[asset])

    def _index(self) -> dict[str, tuple[str, ...]]:
        """Bring `_statuses` up to date, and return it."""
        if self._unindexed >= len(self._recent) or len(self._statuses) >= 2 * _REMEMBERED:
            self._statuses.clear()
            self._unindexed = len(self._recent)
        recent, statuses = self._recent, self._statuses
        if self._unindexed:
            for trade in islice(recent, len(recent) - self._unindexed, None):
                identity = identity_of(trade)
                delivered = statuses.get(identity, ())
                if trade.status not in delivered:
                    statuses[identity] = (*delivered, trade.status)[-_STATUSES:]
            self._unindexed = 0
        return statuses
