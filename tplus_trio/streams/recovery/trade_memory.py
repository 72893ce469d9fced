"""Which trades were delivered: known by asset, id, time, price and quantity, each status of a trade once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from itertools import islice
from typing import Final

from tplus_trio.models import AssetIdentifier, Trade

__all__ = ["TradeMemory", "identity_of", "is_advanced"]

#: How many trades are remembered at least: more than a bounded backfill can bring.
_REMEMBERED: Final = 10_000
#: How many statuses of one trade are remembered.
_STATUSES: Final = 8
#: How far a trade has come, by its status. A status that is not listed can be compared with none.
_RANKS: Final = {"Pending": 0, "Confirmed": 1, "Rollbacked": 2}
#: Removes trailing zeros, and rounds nothing.
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_normalize: Final = _EXACT.normalize


def identity_of(trade: Trade) -> str:
    """What makes a trade known, as text: the hash of text is salted, so that a service cannot choose equal ones."""
    price, quantity = _normalize(trade.price), _normalize(trade.quantity)
    return f"{trade.asset_id} {trade.trade_id} {trade.timestamp_ns} {price} {quantity}"


def is_advanced(status: str, than: str) -> bool:
    """Whether a status is the other one, or one that comes after it."""
    if status == than:
        return True
    rank, other = _RANKS.get(status), _RANKS.get(than)
    return rank is not None and other is not None and rank > other


class TradeMemory:
    """Knows trades again: the last `_REMEMBERED` of them at least.

    A feed in order costs next to nothing: an id above all that its market had is new. Only where one is not is the text
    of each remembered trade made, once.
    """

    def __init__(self) -> None:
        #: What was delivered last, in order; of these, the last `_unindexed` are not in `_statuses` yet.
        self._recent: deque[Trade] = deque(maxlen=_REMEMBERED)
        self._unindexed = 0
        #: The statuses that were delivered, by identity, oldest first.
        self._statuses: dict[str, tuple[str, ...]] = {}
        #: The highest id of each market. Of markets that were quiet for long it is in the second.
        self._highest: dict[AssetIdentifier, int] = {}
        self._former: dict[AssetIdentifier, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._recent)

    def knows(self, trade: Trade) -> bool:
        """Whether the trade was delivered, in whatever status."""
        return self._is_listed(trade) and identity_of(trade) in self._index()

    def was_delivered(self, trade: Trade) -> bool:
        """Whether the trade was delivered in this very status."""
        return self._is_listed(trade) and trade.status in self._index().get(identity_of(trade), ())

    def new(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """The trades that were not delivered in their status yet; they count as delivered from now on."""
        highest, count = self._highest, 0
        market: AssetIdentifier | None = None
        top = -1
        for trade in trades:
            if trade.asset_id is not market:
                if market is not None:
                    highest[market] = top
                market = trade.asset_id
                top = highest.get(market, -1) if market in highest else self._former.get(market, -1)
            if trade.trade_id <= top:
                break
            top = trade.trade_id
            count += 1
        if market is not None:
            highest[market] = top
        if count == len(trades):
            # What nearly always comes: each id above the one before.
            self._remember(trades)
            return trades
        self._remember(trades[:count])
        return [*trades[:count], *(trade for trade in trades[count:] if self.add(trade))]

    def add(self, trade: Trade) -> bool:
        """Count a trade as delivered, and say whether it is news.

        A status from which the trade is known to have gone on is none: REST may have told the later one first.
        """
        if self._is_listed(trade):
            told = self._index().get(identity_of(trade), ())
            if any(is_advanced(status, trade.status) for status in told):
                return False
        elif trade.trade_id >= 0:
            self._highest[trade.asset_id] = trade.trade_id
        self._remember((trade,))
        return True

    def _is_listed(self, trade: Trade) -> bool:
        """Whether the trade may have been delivered, by its id alone."""
        asset, number = trade.asset_id, trade.trade_id
        return number < 0 or number <= self._highest.get(asset, self._former.get(asset, -1))

    def _remember(self, trades: Sequence[Trade]) -> None:
        self._recent.extend(trades)
        self._unindexed += len(trades)
        self._count += len(trades)
        if self._count >= _REMEMBERED:
            self._count = 0
            former, self._former = self._former, self._highest
            self._highest = {}
            for asset in self._former:
                if asset in former:
                    self._former[asset] = max(self._former[asset], former[asset])

    def _index(self) -> dict[str, tuple[str, ...]]:
        """Bring `_statuses` up to date."""
        if self._unindexed >= len(self._recent) or len(self._statuses) >= 2 * _REMEMBERED:
            self._statuses.clear()
            self._unindexed = len(self._recent)
        recent, statuses = self._recent, self._statuses
        if self._unindexed:
            for trade in islice(recent, len(recent) - self._unindexed, None):
                identity = identity_of(trade)
                told = statuses.get(identity, ())
                if trade.status not in told:
                    statuses[identity] = (*told, trade.status)[-_STATUSES:]
            self._unindexed = 0
        return statuses
