"""Checkers of trades and candles for a service that repeats, restarts, rolls back, lags and sends bad rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from tplus_trio.models import AssetIdentifier, Gap, KlineUpdate, Trade

from .invariants import SPOILED_STATUS, Checker, KlinesChecker, Violation, ensure
from .reference_trades import CandleRecord, Identity, TradeRecord, TradeReference, identity

__all__ = ["RetoldKlinesChecker", "TradesChecker"]


class TradesChecker(Checker):
    """Checks trades: each state arrives once and in order of age, or a gap stands in its place.

    Args:
        reference: The exchange's trades.
        may_gap: Returns whether a gap is correct, given the number of trades that have not arrived and whether any has.
    """

    def __init__(self, reference: TradeReference, may_gap: Callable[[int, bool], bool]) -> None:
        super().__init__()
        self._reference = reference
        self._may_gap = may_gap
        #: The statuses with which each trade arrived.
        self._taken: dict[Identity, list[str]] = {}
        self._gaps: list[Gap] = []
        self._last = -1

    def take(self, item: Any) -> str:
        reference = self._reference
        reference.update()
        if isinstance(item, Gap):
            ensure(item.since_ns <= item.until_ns, f"{item} ends before it begins")
            called_for = self._may_gap(len(reference.records) - 1 - self._last, self._last >= 0)
            ensure(called_for or trio.current_time() < reference.doubted_until, f"{item}: nothing was out of reach")
            self._gaps.append(item)
            return f"Gap {item.since_ns}-{item.until_ns}: {item.reason}"
        assert isinstance(item, Trade)
        key = identity(item)
        record = reference.records.get(key)
        if record is None:
            raise Violation(f"{item} never was")
        taken = self._taken.setdefault(key, [])
        if str(item.status) != SPOILED_STATUS:
            self._check_status(item, record, taken)
        in_order = len(record.statuses) == 1 and record.in_turn and not self._covered(record)
        # Trades from before the stream was live may arrive at any time, and may be new to it.
        if not taken and in_order and self.live_at_ns is not None and item.timestamp_ns > self.live_at_ns:
            ensure(record.index > self._last, f"{item} came late: {self._last - record.index} later ones were first")
        taken.append(item.status)
        self._last = max(self._last, record.index)
        return f"trade {item.trade_id} {item.status}"

    def _check_status(self, item: Trade, record: TradeRecord, taken: list[str]) -> None:
        ensure(item.status in record.statuses, f"{item} never had this status, only {record.statuses}")
        if SPOILED_STATUS in taken:
            return  # items after the bad row are new, in any order
        ensure(item.status not in taken, f"{item} came again")
        known = [record.statuses.index(status) for status in taken if status in record.statuses]
        newest = max(known, default=-1)
        ensure(record.statuses.index(item.status) > newest, f"{item} was set back from {taken}")

    def missing(self, *, complete: bool) -> str | None:
        if self.live_at_ns is None:
            return None
        self._reference.update()
        for key, record in self._reference.records.items():
            if record.trade.timestamp_ns <= self.live_at_ns or self._covered(record):
                continue
            if not complete and record.index >= self._last:
                break
            if not complete and not record.in_turn:
                continue  # delivered after later ones, it may still wait for a slow consumer
            taken = self._taken.get(key, [])
            if SPOILED_STATUS in taken or record.trade.status in taken:
                continue
            if not taken:
                if record.first_told or (complete and self._is_listed(key, record)):
                    return f"{record.trade} did not come, and none of the gaps so far covers it: {self._gaps[-2:]}"
            elif complete and self._must_be_known(key, record):
                return f"{record.trade} came as {taken} only, and none of the gaps covers it: {self._gaps[-2:]}"
        return None

    def _must_be_known(self, key: Identity, record: TradeRecord) -> bool:
        """Return whether the client must know the latest status: it was listed, or sent since the last listing."""
        told_since = record.latest_told and record.changed_ns > self._reference.listed_ns
        return told_since or self._is_listed(key, record)

    def _is_listed(self, key: Identity, record: TradeRecord) -> bool:
        return (key, record.trade.status) in self._reference.listed

    def _covered(self, record: TradeRecord) -> bool:
        times = (record.trade.timestamp_ns, record.changed_ns)
        return any(gap.since_ns <= time <= gap.until_ns for gap in self._gaps for time in times)


class RetoldKlinesChecker(KlinesChecker):
    """Checks candles: only real states arrive, and of each the latest, or a gap covers the time of its last change."""

    def __init__(self, reference: TradeReference, asset: AssetIdentifier) -> None:
        super().__init__(tuple)
        self._reference = reference
        self._asset = asset

    def take(self, item: Any) -> str:
        if isinstance(item, Gap):
            return super().take(item)
        assert isinstance(item, KlineUpdate)
        self._reference.update()
        record = self._reference.candles[self._asset].get(item.open_timestamp_ns)
        ensure(record is not None and item in record.states, f"{item} never was")
        self._states[item.open_timestamp_ns] = item
        return f"candle {item.open_timestamp_ns // 10**9} {item.volume}"

    def missing(self, *, complete: bool) -> str | None:
        if self.live_at_ns is None:
            return None
        self._reference.update()
        newest = max(self._states, default=0)
        for opened_ns, record in sorted(self._reference.candles[self._asset].items()):
            if record.last_trade_ns <= self.live_at_ns or (not complete and opened_ns >= newest):
                continue
            state = self._states.get(opened_ns)
            if state == record.states[-1] or not self._must_be_known(opened_ns, record, complete=complete):
                continue
            times = (record.last_trade_ns, record.changed_ns)
            if not any(gap.since_ns <= time <= gap.until_ns for gap in self._gaps for time in times):
                return f"{record.states[-1]} was left at {state}, and no gap covers {times}: {self._gaps[-2:]}"
        return None

    def _must_be_known(self, opened_ns: int, record: CandleRecord, *, complete: bool) -> bool:
        """Return whether the client must know the latest state.

        It must know the state that a trade led to. It may miss a change of status if REST was read after it without it.
        """
        if not record.by_status:
            return True
        if not complete:
            return False
        if record.changed_ns > self._reference.candles_listed_ns.get(self._asset, -1):
            return True
        latest = record.states[-1]
        listed = self._reference.listed_candles.get(self._asset, {}).get(opened_ns)
        return listed == f"{latest.close} {latest.volume}"
