"""Trades that were missed, and trades whose status changed later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, ClassVar, Final, Unpack

from tplus_trio.models import Gap, Trade
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.backfill import Backfill, BackfillOptions
from tplus_trio.streams.recovery.row_kind import RowKind
from tplus_trio.streams.recovery.trade_memory import TradeMemory, identity_of, is_advanced

__all__ = ["TradesBackfill"]

#: The most held trades that are looked up in REST's rows: as many as a bounded read can bring.
_LOOKED_UP: Final = 1000
#: The most gaps that are remembered, to know what they cover.
_GAPS: Final = 32


class TradeRows(RowKind):
    """The trades of a page."""

    is_numbered = True

    def rows(self, answer: Any) -> Sequence[Trade]:
        trades: Sequence[Trade] = answer
        return trades

    def sort_key(self, row: Trade) -> tuple[int, int]:
        return row.timestamp_ns, row.trade_id

    def ends_ns(self, row: Trade) -> int:
        return row.timestamp_ns

    def key(self, row: Trade) -> str:
        return identity_of(row)

    def is_adjacent(self, row: Trade, older: Trade) -> bool:
        return row.trade_id - older.trade_id == 1 and row.asset_id == older.asset_id


class TradesBackfill(Backfill[Trade]):
    """Delivers each trade once in each of its statuses, in the order of the service.

    A trade is known by asset, id, time, price and quantity. One that REST lists between two that were delivered is
    delivered late: before the trades that were missed, unless a `Gap` covers its time.
    """

    kind: ClassVar[RowKind] = TradeRows()

    def __init__(self, now_ns: Callable[[], int], stats: ConnectionCounts, **options: Unpack[BackfillOptions]) -> None:
        super().__init__(now_ns, stats, **options)
        self._seen = TradeMemory()
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_GAPS)

    def _has_delivered(self) -> bool:
        return bool(self._seen)

    def _select(self, rows: Sequence[Trade | None]) -> tuple[Sequence[Trade | None], bool]:
        last = next((n for n in range(len(rows) - 1, -1, -1) if (row := rows[n]) and self._seen.knows(row)), None)
        # What is older than all that is known is from before the stream.
        return (rows, False) if last is None else (rows[: last + 1], True)

    def _reaches(self, rows: Sequence[Trade | None], held: Sequence[Trade]) -> bool:
        if not held:
            return True
        listed: dict[str, list[str]] = {}
        for row in rows:
            if row is not None:
                listed.setdefault(identity_of(row), []).append(row.status)
        return any(
            is_advanced(status, trade.status)
            for trade in islice(held, _LOOKED_UP)
            for status in listed.get(identity_of(trade), ())
        )

    def _is_known(self, row: Trade) -> bool:
        return self._seen.knows(row)

    def _was_delivered(self, item: Trade) -> bool:
        return self._seen.was_delivered(item)

    def _is_covered(self, item: Trade) -> bool:
        return self._seen.was_delivered(item)

    def _accept_live(self, items: Sequence[Trade]) -> Sequence[Trade]:
        return self._seen.new(items)

    def _merge(self, rows: Sequence[Trade | None], held: Sequence[Trade]) -> Sequence[Trade | Gap]:
        newest = next((n for n, row in enumerate(rows) if row is not None and self._seen.knows(row)), len(rows))
        news: list[Trade | Gap] = []
        older: Trade | None = None
        run = 0
        for n in range(len(rows) - 1, -1, -1):
            row = rows[n]
            if row is None:
                run += 1
                continue
            news += self._unreadable_gap(older, row, run)
            run, older = 0, row
            covered = n > newest and any(since <= row.timestamp_ns <= until for since, until in self._gaps)
            if (not covered or self._seen.knows(row)) and self._seen.add(row):
                news.append(row)
        return [*news, *self._unreadable_gap(older, held[0] if held else None, run)]

    def _drop_superseded(self, held: Sequence[Trade], before: Sequence[Trade | Gap]) -> Sequence[Trade]:
        # Statuses that this version does not know come in the order of the feed.
        statuses = {identity_of(row): row.status for row in before if not isinstance(row, Gap)}
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
