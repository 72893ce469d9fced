"""Trades that were missed, and trades that the service confirmed late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from tplus_trio.models import Gap, Trade
from tplus_trio.streams.recovery.backfill import CONFIRM_TIMEOUT, Backfill
from tplus_trio.streams.recovery.trade_memory import TradeMemory, identity_of, is_advanced
from tplus_trio.streams.stats import StreamStats

__all__ = ["TradesBackfill"]

#: How many of the trades that are held are looked for in REST's answer: as many as it can bring.
_LOOKED_FOR: Final = 1000
#: How many gaps are remembered, to know what they cover already.
_GAPS: Final = 32
#: How many rows that could not be decoded are remembered.
_UNREADABLE: Final = 1000


class TradesBackfill(Backfill[Trade]):
    """Each trade once in each of its statuses, in the order of the service.

    A trade is known by asset, id, time, price and quantity. One that REST lists between two that were delivered is
    delivered late: before the trades that were missed, unless a `Gap` covers its time.
    """

    numbered = True

    def __init__(
        self,
        now_ns: Callable[[], int],
        stats: StreamStats,
        *,
        max_pages: int,
        confirm_timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        super().__init__(now_ns, stats, max_pages=max_pages, confirm_timeout=confirm_timeout)
        self._seen = TradeMemory()
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_GAPS)
        #: By the trade below them: how many rows that could not be decoded a gap stands for already.
        self._unreadable_above: dict[str, int] = {}

    def _has_delivered(self) -> bool:
        return bool(self._seen)

    def _items(self, answer: Any) -> Sequence[Trade]:
        trades: Sequence[Trade] = answer
        return trades

    def _order(self, row: Trade) -> tuple[int, int]:
        return row.timestamp_ns, row.trade_id

    def _ends_ns(self, row: Trade) -> int:
        return row.timestamp_ns

    def _name(self, row: Trade) -> str:
        return identity_of(row)

    def _adjoins(self, row: Trade, older: Trade) -> bool:
        return row.trade_id - older.trade_id == 1 and row.asset_id == older.asset_id

    def _take(self, rows: Sequence[Trade | None]) -> bool:
        last = next((n for n in range(len(rows) - 1, -1, -1) if (row := rows[n]) and self._seen.knows(row)), None)
        # What is older than all that is known is from before the stream.
        self._rows += rows if last is None else rows[: last + 1]
        return last is not None

    def _reaches(self, rows: Sequence[Trade | None], held: Sequence[Trade]) -> bool:
        if not held:
            return True
        listed: dict[str, list[str]] = {}
        for row in rows:
            if row is not None:
                listed.setdefault(identity_of(row), []).append(row.status)
        return any(
            is_advanced(status, trade.status)
            for trade in islice(held, _LOOKED_FOR)
            for status in listed.get(identity_of(trade), ())
        )

    def _is_known(self, row: Trade) -> bool:
        return self._seen.knows(row)

    def _has_told(self, item: Trade) -> bool:
        return self._seen.has_told(item)

    def _is_covered(self, item: Trade) -> bool:
        return self._seen.has_told(item)

    def _live(self, items: Sequence[Trade]) -> Sequence[Trade]:
        return self._seen.new(items)

    def _join(self, rows: Sequence[Trade | None], held: Sequence[Trade]) -> Sequence[Trade | Gap]:
        newest = next((n for n, row in enumerate(rows) if row is not None and self._seen.knows(row)), len(rows))
        news: list[Trade | Gap] = []
        older: Trade | None = None
        run = 0
        for n in range(len(rows) - 1, -1, -1):
            row = rows[n]
            if row is None:
                run += 1
                continue
            news += self._above(older, row, run)
            run, older = 0, row
            covered = n > newest and any(since <= row.timestamp_ns <= until for since, until in self._gaps)
            if (not covered or self._seen.knows(row)) and self._seen.add(row):
                news.append(row)
        return [*news, *self._above(older, held[0] if held else None, run)]

    def _above(self, older: Trade | None, newer: Trade | None, count: int) -> Sequence[Gap]:
        """A gap for so many rows that could not be decoded, unless one stands for them already."""
        if not count:
            return ()
        below = "" if older is None else identity_of(older)
        if self._unreadable_above.get(below, 0) >= count:
            return ()
        self._unreadable_above.pop(below, None)
        self._unreadable_above[below] = count
        if len(self._unreadable_above) > _UNREADABLE:
            del self._unreadable_above[next(iter(self._unreadable_above))]
        return (self._unreadable(older, newer),)

    def _still_news(self, held: Sequence[Trade], told: Sequence[Trade | Gap]) -> Sequence[Trade]:
        # The order of statuses that this version does not know is what the feed says it is.
        statuses = {identity_of(row): row.status for row in told if not isinstance(row, Gap)}
        passed: set[str] = set()
        kept: list[Trade] = []
        for trade in reversed(held):
            identity = identity_of(trade)
            if identity in passed:
                continue
            if statuses.get(identity) == trade.status:
                passed.add(identity)
            kept.append(trade)
        return kept[::-1]

    def _note_gap(self, gap: Gap, held: Sequence[Trade]) -> None:
        until = max(gap.until_ns, held[0].timestamp_ns) if held else gap.until_ns
        self._gaps.append((gap.since_ns, until))
