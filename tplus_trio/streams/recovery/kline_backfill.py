"""Candles that were missed, and candles that changed after they had been delivered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Unpack

from tplus_trio.models import AssetIdentifier, Gap, KlinesPage, KlineUpdate, Rows, Timebar
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery.backfill import Backfill, BackfillOptions
from tplus_trio.streams.recovery.row_kind import RowKind

__all__ = ["KlinesBackfill"]

#: How many candles are remembered: more than a bounded backfill can bring.
_REMEMBERED: Final = 2000


class KlineRows(RowKind):
    """The candles of a page."""

    def rows(self, answer: Any) -> Sequence[Timebar]:
        page: KlinesPage = answer
        return Rows(page.items, page.bad)

    def sort_key(self, row: Timebar) -> tuple[int, int]:
        return row.open_timestamp_ns, 0

    def ends_ns(self, row: Timebar) -> int:
        return row.close_timestamp_ns

    def key(self, row: Timebar) -> str:
        return str(row.open_timestamp_ns)

    def is_adjacent(self, row: Timebar, older: Timebar) -> bool:
        # Some services send the last nanosecond of a candle, and some the first of the next.
        return row.open_timestamp_ns - older.close_timestamp_ns in {0, 1}


class KlinesBackfill(Backfill[KlineUpdate]):
    """Delivers the latest state of each candle, whether its volume rose or fell. The opening time identifies a candle.

    The feed takes precedence over REST: if the feed brought a candle while REST was asked, REST's state of it is not
    delivered.

    Args:
        now_ns: As for `Backfill`.
        stats: As for `Backfill`.
        asset_id: The market of the candles, which REST's rows do not name.
        **options: As for `Backfill`.
    """

    kind: ClassVar[RowKind] = KlineRows()

    def __init__(
        self,
        now_ns: Callable[[], int],
        stats: ConnectionCounts,
        *,
        asset_id: AssetIdentifier,
        **options: Unpack[BackfillOptions],
    ) -> None:
        super().__init__(now_ns, stats, **options)
        self._asset_id = asset_id
        #: Of the candles that were delivered, the one with the latest opening time, in its last state.
        self._last: KlineUpdate | None = None
        #: The last states of those before it, by opening time as text: a service cannot choose the hash of text.
        self._earlier: dict[str, KlineUpdate] = {}

    def _has_delivered(self) -> bool:
        return self._last is not None

    def _select(self, rows: Sequence[Timebar | None]) -> tuple[Sequence[Timebar | None], bool]:
        assert self._last is not None  # noqa: S101 - for the type checker: called only after a delivery
        opened_ns = self._last.open_timestamp_ns
        return rows, any(row is not None and row.open_timestamp_ns <= opened_ns for row in rows)

    def _reaches(self, rows: Sequence[Timebar | None], held: Sequence[KlineUpdate]) -> bool:
        if not held:
            return True
        return any(row is not None and row.open_timestamp_ns >= held[0].open_timestamp_ns for row in rows)

    def _is_known(self, row: Timebar) -> bool:
        return self._state(row.open_timestamp_ns) is not None

    def _was_delivered(self, item: KlineUpdate) -> bool:
        return item == self._state(item.open_timestamp_ns)

    def _is_covered(self, item: KlineUpdate) -> bool:
        return self._last is not None and item.open_timestamp_ns <= self._last.open_timestamp_ns

    def _accept_live(self, items: Sequence[KlineUpdate]) -> Sequence[KlineUpdate]:
        for candle in items:
            last = self._last
            if last is None or candle.open_timestamp_ns == last.open_timestamp_ns:
                self._last = candle
            elif candle.open_timestamp_ns > last.open_timestamp_ns:
                self._keep(last)
                self._last = candle
            else:
                self._keep(candle)
        return items

    def _keep(self, candle: KlineUpdate) -> None:
        opened = str(candle.open_timestamp_ns)
        self._earlier.pop(opened, None)
        self._earlier[opened] = candle
        if len(self._earlier) > _REMEMBERED:
            del self._earlier[next(iter(self._earlier))]

    def _state(self, opened_ns: int) -> KlineUpdate | None:
        """The state in which a candle was delivered last."""
        last = self._last
        return last if last is not None and last.open_timestamp_ns == opened_ns else self._earlier.get(str(opened_ns))

    def _merge(self, rows: Sequence[Timebar | None], held: Sequence[KlineUpdate]) -> Sequence[KlineUpdate | Gap]:
        from_feed = {str(candle.open_timestamp_ns) for candle in held}
        last_ns = -1 if self._last is None else self._last.open_timestamp_ns
        news: list[KlineUpdate | Gap] = []
        older: Timebar | None = None
        run = 0
        for row in reversed(rows):
            if row is None:
                run += 1
                continue
            news += self._gap_within(older, row, run)
            run, before, older = 0, older, row
            if before is not None and before.open_timestamp_ns == row.open_timestamp_ns:
                continue  # pages shift: the later page was requested later
            state = self._state(row.open_timestamp_ns)
            if str(row.open_timestamp_ns) in from_feed or (state is None and row.open_timestamp_ns <= last_ns):
                continue  # the feed takes precedence, or the candle is from before the stream
            candle = KlineUpdate.of(self._asset_id, row)
            if candle != state:
                news.append(candle)
                self._accept_live((candle,))
        return [*news, *self._gap_within(older, held[0] if held else None, run)]

    def _gap_within(self, older: Timebar | None, newer: Timebar | None, count: int) -> Sequence[Gap]:
        """As `_unreadable_gap`, if the rows are not from before the stream."""
        concerns = self._last is None if older is None else self._state(older.open_timestamp_ns) is not None
        return self._unreadable_gap(older, newer, count) if concerns else ()
