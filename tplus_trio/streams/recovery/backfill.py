"""Feeds whose past REST can tell, trades and candles: what was missed is asked for and delivered first."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

from tplus_trio.models import AssetIdentifier, Gap, KlinesPage, KlineUpdate, Timebar, Trade
from tplus_trio.streams.recovery.base import Recovery, gap_until, told_until
from tplus_trio.streams.stats import StreamStats

__all__ = ["Backfill", "KlinesBackfill", "TradesBackfill"]

T = TypeVar("T")

#: How many trades are remembered at least, to know them again: more than a bounded backfill can bring.
_REMEMBERED: Final = 10_000
_NONE: Final = frozenset[int]()


class Backfill(Recovery[T | Gap], Generic[T]):
    """Asks REST, newest page first, until it meets what was delivered before; live items are held meanwhile.

    Where nothing was delivered yet, what it meets is the time of the subscription, or the beginning of history.

    A hole that is not bridged within ``max_pages`` pages becomes a `Gap`, and nothing of it is delivered; so does one
    beyond which history does not reach: what was delivered is not in it, so that it is not whole.
    """

    def __init__(self, now_ns: Callable[[], int], stats: StreamStats, *, max_pages: int) -> None:
        super().__init__(now_ns, stats)
        self._max_pages = max_pages
        self._held: list[T] = []
        #: What REST brought so far, newest first.
        self._missed: list[T] = []
        #: Up to when nothing is missing: as for `Marked`.
        self._since_ns = 0
        self._reason = ""

    @property
    def held(self) -> int:
        return len(self._held)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        if not self._begun:
            return
        if self.page is None:
            self._reason = reason
        self._held.clear()
        self._missed.clear()
        self.page = 0
        self._supersede()

    def subscribed(self) -> Sequence[T | Gap]:
        if not self._begun:
            self._since_ns = self._now_ns()
        return super().subscribed()

    def receive(self, items: Sequence[T | Gap]) -> Sequence[T | Gap]:
        fresh: Sequence[T] = items  # type: ignore[assignment]  # a gap is never received
        if self.page is None:
            news = self._live(fresh)
            self._told(news)
            return news
        self._held.extend(fresh)
        return ()

    def answer(self, page: int, answer: Any, *, early: bool) -> Sequence[T | Gap]:  # noqa: ARG002 - never early
        found = self._items(answer)
        if self._has_delivered():
            bridged = self._take(found)
        else:
            since_ns = self._since_ns
            after = [item for item in found if self._ends_ns(item) >= since_ns]
            self._take(after)
            # A clock that was set back since says nothing of what came after the subscription.
            bridged = (not after or len(after) < len(found)) and since_ns <= self._now_ns()
        if not bridged and found and page + 1 < self._max_pages:
            self.page = page + 1
            return ()
        held, self._held = self._held, []
        missed, self._missed = self._missed, []
        self.page = None
        self._stats.resyncs += 1
        if bridged:
            news = (*self._join(missed[::-1], held),)
            self._told(news)
            return news
        now = self._now_ns()
        gap = gap_until(self._since_ns, now, self._reason)
        self._since_ns = now
        return (gap, *self._join((), held))

    def _told(self, news: Sequence[T]) -> None:
        """Nothing before the last item is missing."""
        if news:
            self._since_ns = told_until(self._since_ns, news[-1], self._now_ns())

    @abstractmethod
    def _has_delivered(self) -> bool:
        """Whether there is anything that REST's answer could be joined on to."""

    @abstractmethod
    def _items(self, answer: Any) -> Sequence[Any]:
        """What is on a page, newest first."""

    @abstractmethod
    def _ends_ns(self, item: Any) -> int:
        """Up to when an item of a page tells, by the clock of the service."""

    @abstractmethod
    def _take(self, page: Sequence[Any]) -> bool:
        """Add a page to ``_missed``; say whether that met what was delivered before."""

    @abstractmethod
    def _live(self, items: Sequence[T]) -> Sequence[T]:
        """Remember items that arrive in order, and return those to deliver."""

    @abstractmethod
    def _join(self, missed: Sequence[T], held: Sequence[T]) -> Sequence[T]:
        """Put what REST brought, oldest first, before what arrived meanwhile, each item once."""


class _Memory:
    """Knows trades again: the last `_REMEMBERED` of them, and as many more until the next turn of two halves.

    Ids are kept by asset, and not in pairs with it: pairs are looked at by each garbage collection, ids are not.
    """

    def __init__(self) -> None:
        self._recent: defaultdict[AssetIdentifier, set[int]] = defaultdict(set)
        self._older: Mapping[AssetIdentifier, set[int]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._recent or self._older)

    def __contains__(self, trade: Trade) -> bool:
        asset, number = trade.asset_id, trade.trade_id
        return number in self._recent.get(asset, _NONE) or number in self._older.get(asset, _NONE)

    def new(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Those that are not known yet, which they are from now on."""
        recent, older, none = self._recent, self._older.get, _NONE
        again: list[int] = []
        for index, trade in enumerate(trades):
            asset, number = trade.asset_id, trade.trade_id
            ids = recent[asset]
            if number in ids or number in older(asset, none):
                again.append(index)
            else:
                ids.add(number)
        self._count += len(trades)
        if self._count >= _REMEMBERED:
            self._older, self._recent, self._count = recent, defaultdict(set), 0
        if not again:
            return trades
        known = frozenset(again)
        return [trade for index, trade in enumerate(trades) if index not in known]


class TradesBackfill(Backfill[Trade]):
    """Each trade once, known by its asset and its id, in the order of the exchange."""

    def __init__(self, now_ns: Callable[[], int], stats: StreamStats, *, max_pages: int) -> None:
        super().__init__(now_ns, stats, max_pages=max_pages)
        self._seen = _Memory()

    def _has_delivered(self) -> bool:
        return bool(self._seen)

    def _items(self, answer: Any) -> Sequence[Trade]:
        trades: Sequence[Trade] = answer
        return trades

    def _ends_ns(self, item: Trade) -> int:
        return item.timestamp_ns

    def _take(self, page: Sequence[Trade]) -> bool:
        for trade in page:
            if trade in self._seen:
                # What is older is from before the hole, unknown perhaps because it is from before the stream too.
                return True
            self._missed.append(trade)
        return False

    def _live(self, items: Sequence[Trade]) -> Sequence[Trade]:
        return self._seen.new(items)

    def _join(self, missed: Sequence[Trade], held: Sequence[Trade]) -> Sequence[Trade]:
        return self._live([*missed, *held])


class KlinesBackfill(Backfill[KlineUpdate]):
    """The latest state of each candle that was missed, then the live ones again."""

    def __init__(
        self, now_ns: Callable[[], int], stats: StreamStats, *, max_pages: int, asset_id: AssetIdentifier
    ) -> None:
        super().__init__(now_ns, stats, max_pages=max_pages)
        self._asset_id = asset_id
        self._last: KlineUpdate | None = None
        #: What REST told last, until the feed has come as far.
        self._ahead: KlineUpdate | None = None

    def _has_delivered(self) -> bool:
        return self._last is not None

    def _items(self, answer: Any) -> Sequence[Timebar]:
        page: KlinesPage = answer
        return page.items

    def _ends_ns(self, item: Timebar) -> int:
        return item.close_timestamp_ns

    def _take(self, page: Sequence[Timebar]) -> bool:
        for bar in page:
            if self._last is not None and bar.open_timestamp_ns < self._last.open_timestamp_ns:
                return True
            candle = KlineUpdate.of(self._asset_id, bar)
            if candle == self._last:
                return True
            if not self._missed or candle.open_timestamp_ns < self._missed[-1].open_timestamp_ns:
                self._missed.append(candle)
            if self._last is not None and candle.open_timestamp_ns == self._last.open_timestamp_ns:
                return True
        return False

    def _live(self, items: Sequence[KlineUpdate]) -> Sequence[KlineUpdate]:
        ahead = self._ahead
        if ahead is not None:
            # Within a candle, volume only grows: what was on its way when REST answered must not set the candle back.
            items = [candle for candle in items if _progress(candle) > _progress(ahead)]
            if items:
                self._ahead = None
        for candle in items:
            if self._last is None or candle.open_timestamp_ns >= self._last.open_timestamp_ns:
                self._last = candle
        return items

    def _join(self, missed: Sequence[KlineUpdate], held: Sequence[KlineUpdate]) -> Sequence[KlineUpdate]:
        self._ahead = None
        told = self._live(missed)
        if told:
            self._ahead = told[-1]
        return (*told, *self._live(held))


def _progress(candle: KlineUpdate) -> tuple[int, Decimal]:
    return candle.open_timestamp_ns, candle.volume
