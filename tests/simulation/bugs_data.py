"""Bugs to plant in how a client reads a service that lags, renumbers, repeats and sends bad rows.

Each docstring names the rule that is broken and the function that is replaced. Most are functions of the recoveries
(`trade_backfill`, `kline_backfill`, `trade_memory` and `backfill` of
`streams.recovery`), and one is of `orders.operations`, named as text and looked up when a bug is planted. `bugs.py`
merges `DATA_BUGS` into its bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from typing import Any, Final
from unittest import mock

__all__ = ["DATA_BUGS"]

_RECOVERY: Final = "tplus_trio.streams.recovery"


def _original(target: str) -> Any:
    """Return the function of a module or of a class that a dotted name stands for."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        outer, _, kind = module.rpartition(".")
        return getattr(getattr(import_module(outer), kind), name)


@contextmanager
def _answer_need_not_reach_the_feed() -> Generator[None]:
    """Any answer that contains the last delivered row closes a hole: replaces ``_reaches`` of both backfills."""
    with ExitStack() as stack:
        for kind in ("trade_backfill.TradesBackfill", "kline_backfill.KlinesBackfill"):
            stack.enter_context(mock.patch(f"{_RECOVERY}.{kind}._reaches", return_value=True))
        yield


@contextmanager
def _page_ends_at_the_first_known_trade() -> Generator[None]:
    """All rows listed below a known trade are taken for known: replaces ``TradesBackfill._select``."""
    target = f"{_RECOVERY}.trade_backfill.TradesBackfill._select"
    proper = _original(target)

    def select(self: Any, rows: Sequence[Any]) -> tuple[Sequence[Any], bool]:
        first = next((n for n, row in enumerate(rows) if row is not None and self._seen.knows(row)), len(rows))
        selected: tuple[Sequence[Any], bool] = proper(self, rows[: first + 1])
        return selected

    with mock.patch(target, select):
        yield


@contextmanager
def _trade_known_by_id_alone() -> Generator[None]:
    """A trade is identified by asset and id alone: replaces ``identity_of`` where it is used."""

    def identity(trade: Any) -> str:
        return f"{trade.asset_id} {trade.trade_id}"

    with ExitStack() as stack:
        for module in ("trade_memory", "trade_backfill"):
            stack.enter_context(mock.patch(f"{_RECOVERY}.{module}.identity_of", identity))
        yield


@contextmanager
def _status_is_no_news() -> Generator[None]:
    """A delivered trade is known in every status: replaces ``TradeMemory.add``."""
    target = f"{_RECOVERY}.trade_memory.TradeMemory.add"
    proper = _original(target)

    def add(self: Any, trade: Any, **options: Any) -> bool:
        return not self.knows(trade) and proper(self, trade, **options)

    with mock.patch(target, add):
        yield


@contextmanager
def _older_candles_never_change() -> Generator[None]:
    """REST's rows of candles before the last one are ignored: replaces ``KlinesBackfill._merge``."""
    target = f"{_RECOVERY}.kline_backfill.KlinesBackfill._merge"
    proper = _original(target)

    def join(self: Any, rows: Sequence[Any], held: Sequence[Any]) -> Sequence[Any]:
        last_ns = -1 if self._last is None else self._last.open_timestamp_ns
        told: Sequence[Any] = proper(
            self, [row for row in rows if row is None or row.open_timestamp_ns >= last_ns], held
        )
        return told

    with mock.patch(target, join):
        yield


@contextmanager
def _bad_row_vanishes() -> Generator[None]:
    """A row that could not be decoded leaves no gap: replaces ``rows_of`` of the backfills."""
    with mock.patch(f"{_RECOVERY}.backfill.rows_of", list):
        yield


# Bugs that no world shows within 300 seeds, and the test that catches each when it is planted:
#
# a replica's older status is delivered again  test_trade_memory: test_a_missed_status_from_rest_is_delivered_and_...
# a candle whose volume fell is dropped        test_kline_backfill: test_a_smaller_volume_after_a_rollback_is_...
# a page is taken for newest first             test_history_rows: test_pages_in_another_order_lose_nothing
# any 404 on a listing means "none yet"        test_order_answers: test_others_cannot_say_so
# an unknown fate is a ValueError ("not sent")  test_order_answers: test_an_answer_that_says_nothing_of_the_order

#: The bugs by name.
DATA_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "answer-need-not-reach-the-feed": _answer_need_not_reach_the_feed,
    "page-ends-at-the-first-known-trade": _page_ends_at_the_first_known_trade,
    "trade-known-by-id-alone": _trade_known_by_id_alone,
    "status-is-no-news": _status_is_no_news,
    "older-candles-never-change": _older_candles_never_change,
    "bad-row-vanishes": _bad_row_vanishes,
}
