"""Candles that were missed, and candles that changed after they had been delivered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tplus_trio.models import AssetIdentifier, Gap, KlinesPage, KlineUpdate, Rows, Timebar
from tplus_trio.streams.recovery.backfill import CONFIRM_TIMEOUT, Backfill
from tplus_trio.streams.stats import StreamStats

__all__ = ["KlinesBackfill"]

#: How many candles are remembered: more than a bounded backfill can bring.
_REMEMBERED: Final = 2000


class KlinesBackfill(Backfill[KlineUpdate]):
    """The latest state of each candle, whichever way its volume moved. A candle is known by its opening time.

    What the feed says of a candle stands against what REST says of it: of a candle that the feed brought while REST was
    asked, REST's state is not delivered.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        stats: StreamStats,
        *,
        max_pages: int,
        asset_id: AssetIdentifier,
        confirm_timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        super().__init__(now_ns, stats, max_pages=max_pages, confirm_timeout=confirm_timeout)
        self._asset_id = asset_id
        #: The candle that opened last of all that were delivered, as it was delivered last.
        self._last: KlineUpdate | None = None
        #: The last states of those before it, by the text of their opening time: a service cannot choose its hash.
        self._former: dict[str, KlineUpdate] = {}
        #: Rows that could not be decoded and for which a gap stands already: by the opening time below them.
        self._unreadable_above: dict[str, int] = {}

    def _has_delivered(self) -> bool:
        return self._last is not None

    def _items(self, answer: Any) -> Sequence[Timebar]:
        page: KlinesPage = answer
        return Rows(page.items, page.bad)

    def _order(self, row: Timebar) -> tuple[int, int]:
        return row.open_timestamp_ns, 0

    def _ends_ns(self, row: Timebar) -> int:
        return row.close_timestamp_ns

    def _name(self, row: Timebar) -> str:
        return str(row.open_timestamp_ns)

    def _adjoins(self, row: Timebar, older: Timebar) -> bool:
        # Some services say the last nanosecond of a candle, and some the first of the next.
        return row.open_timestamp_ns - older.close_timestamp_ns in {0, 1}

    def _take(self, rows: Sequence[Timebar | None]) -> bool:
        assert self._last is not None  # noqa: S101 - for the type checker: it is asked only where one was delivered
        self._rows += rows
        return any(row is not None and row.open_timestamp_ns <= self._last.open_timestamp_ns for row in rows)

    def _reaches(self, rows: Sequence[Timebar | None], held: Sequence[KlineUpdate]) -> bool:
        if not held:
            return True
        return any(row is not None and row.open_timestamp_ns >= held[0].open_timestamp_ns for row in rows)

    def _is_known(self, row: Timebar) -> bool:
        return self._state(row.open_timestamp_ns) is not None

    def _has_told(self, item: KlineUpdate) -> bool:
        return item == self._state(item.open_timestamp_ns)

    def _is_covered(self, item: KlineUpdate) -> bool:
        return self._last is not None and item.open_timestamp_ns <= self._last.open_timestamp_ns

    def _live(self, items: Sequence[KlineUpdate]) -> Sequence[KlineUpdate]:
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
        self._former.pop(opened, None)
        self._former[opened] = candle
        if len(self._former) > _REMEMBERED:
            del self._former[next(iter(self._former))]

    def _state(self, opened_ns: int) -> KlineUpdate | None:
        """The state in which a candle was delivered last."""
        last = self._last
        return last if last is not None and last.open_timestamp_ns == opened_ns else self._former.get(str(opened_ns))

    def _join(self, rows: Sequence[Timebar | None], held: Sequence[KlineUpdate]) -> Sequence[KlineUpdate | Gap]:
        said = {str(candle.open_timestamp_ns) for candle in held}
        last_ns = -1 if self._last is None else self._last.open_timestamp_ns
        news: list[KlineUpdate | Gap] = []
        older: Timebar | None = None
        run = 0
        for row in reversed(rows):
            if row is None:
                run += 1
                continue
            news += self._above(older, row, run)
            run, before, older = 0, older, row
            if before is not None and before.open_timestamp_ns == row.open_timestamp_ns:
                continue  # pages shift: what a later page says was asked for later
            state = self._state(row.open_timestamp_ns)
            if str(row.open_timestamp_ns) in said or (state is None and row.open_timestamp_ns <= last_ns):
                continue  # the feed says it, or it is from before the stream
            candle = KlineUpdate.of(self._asset_id, row)
            if candle != state:
                news.append(candle)
                self._live((candle,))
        return [*news, *self._above(older, held[0] if held else None, run)]

    def _above(self, older: Timebar | None, newer: Timebar | None, count: int) -> Sequence[Gap]:
        """A gap for so many rows that could not be decoded, unless one stands for them already."""
        # Below all that was delivered it is from before the stream.
        concerns = self._last is None if older is None else self._state(older.open_timestamp_ns) is not None
        if not count or not concerns:
            return ()
        below = "" if older is None else str(older.open_timestamp_ns)
        if self._unreadable_above.get(below, 0) >= count:
            return ()
        self._unreadable_above.pop(below, None)
        self._unreadable_above[below] = count
        if len(self._unreadable_above) > _REMEMBERED:
            del self._unreadable_above[next(iter(self._unreadable_above))]
        return (self._unreadable(older, newer),)
